import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { cli } from '../support/cli.ts';

const STREAM = readFileSync('test/fixtures/neuron-monitor/trn1-one-runtime/stream.ndjson');

const folder = mkdtempSync(join(tmpdir(), 'neuron-otel-'));
let files = 0;

afterAll(() => rmSync(folder, { recursive: true }));

function configFile(content: string): string {
  files += 1;
  const path = join(folder, `config-${files}.json`);
  writeFileSync(path, content);
  return path;
}

describe('neuron-otel', () => {
  it('without a configuration is a drop-in neuron-monitor: the stream on stdin comes out byte for byte', async () => {
    const { exitCode, stdout } = await cli(['--source', '-'], { stdin: STREAM });
    expect(exitCode).toBe(0);
    expect(stdout).toBe(STREAM.toString('utf8'));
  });

  it("leaves out what the configuration does not select, in neuron-monitor's own shape", async () => {
    const path = configFile(
      '{"period":"1s","neuron_runtimes":[{"tag_filter":".*","metrics":[{"type":"execution_stats"}]}],"system_metrics":[]}',
    );
    const { stdout } = await cli(['--source', '-', '-c', path], { stdin: STREAM });
    const records = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(STREAM.toString('utf8').trimEnd().split('\n').length);
    for (const record of records) {
      expect(record.system_data).toBeNull();
      for (const runtime of record.neuron_runtime_data) expect(Object.keys(runtime.report)).toEqual(['execution_stats']);
    }
  });

  it.each([[], ['validate'], ['once', '--format', 'json']])(
    'explains an instance type that cannot be simulated and exits 78, without a stack trace: %s',
    async (...command) => {
      const { exitCode, stdout, stderr } = await cli([...command, '--source', 'virtual:trn1.2xlarge']);
      expect(exitCode).toBe(78);
      expect(stdout).toBe('');
      expect(stderr).toMatch(
        /^neuron-otel: --source: names an instance type that cannot be simulated; there are .*trn1\.32xlarge.*\n.*1 problem.*\n$/,
      );
    },
  );

  it('counts bad lines and goes on with the next good one', async () => {
    const [first = '', ...rest] = STREAM.toString('utf8').trimEnd().split('\n');
    const { exitCode, stdout, stderr } = await cli(['--source', '-'], { stdin: [first, '{"broken":', ...rest, '{"partial'].join('\n') });
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`${[first, ...rest].join('\n')}\n`);
    expect(stderr.match(/line of the stream lost/g)).toHaveLength(2);
  });

  it('prints its version and its help on stdout and exits 0', async () => {
    expect(await cli(['--version'])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^neuron-otel \d+\.\d+\.\d+\n$/),
      stderr: '',
    });
    const help = await cli(['--help']);
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    for (const word of ['run', 'once', 'validate', 'prometheus', 'demo', 'Exit codes', 'Examples']) expect(help.stdout).toContain(word);
  });

  it.each([
    [['--nonsense'], '--nonsense'],
    [['valdate'], 'validate'],
    [['--verbose', '9'], 'from 0 to 4'],
    [['prometheus', '-p', '70000'], 'port'],
    [['once', '--format', 'xml'], 'otlp-json'],
  ])('explains wrong usage %j on stderr and exits 2', async (argv, hint) => {
    const { exitCode, stdout, stderr } = await cli(argv);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(hint);
  });

  it('reports every configuration error at once, each with its path, and exits 78 with nothing started', async () => {
    const path = configFile(
      '{"period":"500q","neuron_runtimes":[{"metrics":[{"type":"vcpu_usage"}]}],"system_metrics":[{"type":"memory_inf"}],"exporterz":{}}',
    );
    const { exitCode, stdout, stderr } = await cli(['-c', path]);
    expect(exitCode).toBe(78);
    expect(stdout).toBe('');
    for (const place of ['period', 'neuron_runtimes[0].metrics[0].type', 'system_metrics[0].type', 'exporterz'])
      expect(stderr).toContain(place);
  });

  it('exits 78 when there is no such configuration file', async () => {
    const { exitCode, stderr } = await cli(['-c', '/nonexistent/config.json']);
    expect(exitCode).toBe(78);
    expect(stderr).toContain('/nonexistent/config.json');
  });
});

describe('neuron-otel validate', () => {
  it('warns that reading the datastore is not proven on hardware', async () => {
    const devRoot = join(folder, 'dev');
    mkdirSync(devRoot);
    writeFileSync(join(devRoot, 'neuron0'), '');
    const path = configFile('{"source":{"spec":"native","nds":{"enabled":true}}}');
    const { exitCode, stdout } = await cli(['validate', '-c', path], { devRoot });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^execution_stats .* nds \(not proven on hardware\)$/m);
  });

  it('prints groups → periods → readers → exporters, and no secret', async () => {
    const path = configFile(
      JSON.stringify({
        period: '5s',
        neuron_runtimes: [{ tag_filter: '^train', metrics: [{ type: 'execution_stats', period: '1s' }] }],
        system_metrics: [{ type: 'memory_info' }],
        exporters: { otlp: { endpoint: 'http://collector:4318', headers: { authorization: 'Bearer CANARY' } }, prometheus: {} },
      }),
    );
    const { exitCode, stdout, stderr } = await cli(['validate', '-c', path]);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^execution_stats +1s +processes with tag \/\^train\/ /m);
    expect(stdout).toMatch(/^memory_info +5s +host /m);
    expect(stdout).toMatch(/^memory_used +off$/m);
    expect(stdout).toMatch(/^1s +execution_stats +otlp$/m);
    expect(stdout).toMatch(/^otlp +http:\/\/collector:4318\/v1\/metrics, http\/protobuf, cumulative$/m);
    expect(stdout).toMatch(/^prometheus +http:\/\/127\.0\.0\.1:9464\/metrics, otel names$/m);
    expect(stdout).not.toContain('CANARY');
  });
});
