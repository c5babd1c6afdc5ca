import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentConfig } from './support/agent-config.ts';
import { AgentProcess, PROGRAMS } from './support/agent.ts';
import type { Program } from './support/agent.ts';
import { Collector } from './support/collector.ts';
import { expectedSeries, receivedSeries } from './support/compare.ts';
import { eventually } from './support/eventually.ts';
import { TemporaryFolder } from './support/folder.ts';
import { parseObject } from './support/json.ts';
import { flatten } from './support/otlp-json.ts';
import { freePort } from './support/ports.ts';
import { RunningProcess } from './support/process.ts';
import { FIXTURE_NAMES, fixture, fixturePath, nineRealRecords } from './support/recordings.ts';

const BOTH: readonly Program[] = ['sources', 'bundle'];

/** The real captures are not part of the project: they are fed where they lie beside it. */
const RECORDINGS = [...FIXTURE_NAMES.map(fixture), ...[nineRealRecords()].filter((one) => one !== undefined)];

const WITHOUT_HOST = { procfs: 'off', imds: { enabled: false } };

describe.each(BOTH)('the %s as a filter of a stream', (program) => {
  it.each(RECORDINGS)('$name: the same bytes on stdout, and a clean end at the end of stdin', async ({ bytes }) => {
    await using agent = new AgentProcess(['--source', '-'], { program });
    agent.feedAndEnd(bytes);
    await agent.process.endsWith(0);
    expect(agent.process.stdout.equals(bytes)).toBe(true);
  });

  it('replays a recorded stream as fast as it can, to the same bytes', async () => {
    const path = fixturePath('trn1-one-runtime');
    await using agent = new AgentProcess(['--source', `file:${path}`, '--speed', 'max'], { program });
    await agent.process.endsWith(0);
    expect(agent.process.stdout.equals(fixture('trn1-one-runtime').bytes)).toBe(true);
  });

  it('prints one collection as OTLP/JSON with the totals of the whole recording', async () => {
    const { records } = fixture('trn1-one-runtime');
    const config = { source: WITHOUT_HOST };
    const args = ['once', '--format', 'otlp-json', '--source', `file:${fixturePath('trn1-one-runtime')}`];
    await using agent = new AgentProcess(args, { program, config });
    await agent.process.endsWith(0);
    const printed = receivedSeries(flatten([parseObject(agent.process.stdout.toString('utf8'))]));
    const expected = Object.entries(expectedSeries(records)).map(([series, values]) => [series, values.slice(-1)] as const);
    expect(printed).toEqual(Object.fromEntries(expected.filter(([series]) => series in printed)));
    expect(Object.keys(printed).length).toBeGreaterThan(40);
  });

  it('ends quietly with 0 when nobody reads the only output', async () => {
    const { lines } = fixture('trn1-one-runtime');
    await using agent = new AgentProcess(['--source', '-', '--verbose', '2'], { program });
    agent.feed(lines);
    await agent.process.until('first line', () => (agent.process.stdout.includes('\n') ? true : undefined));
    agent.process.closeStdout();
    const feeding = setInterval(() => agent.feed(lines), 20);
    try {
      await agent.process.endsWith(0);
    } finally {
      clearInterval(feeding);
    }
    expect(agent.process.stderr).toBe('');
  });

  it('goes on without stdout when there is another output', async () => {
    const { lines } = fixture('trn1-one-runtime');
    const port = await freePort();
    const config = agentConfig({ exporters: { json_stdout: {}, prometheus: { port } } });
    await using agent = new AgentProcess([], { program, config });
    agent.process.closeStdout();
    agent.feed([...lines, ...lines]);
    const before = await agent.process.until('page', async () => valueOf('neuron_host_context_switches_total', await pageText(port)));
    agent.feed(lines);
    await agent.process.until('later page', async () =>
      valueOf('neuron_host_context_switches_total', await pageText(port)) === before ? undefined : true,
    );
    agent.feedAndEnd('');
    await agent.process.endsWith(0);
    expect(agent.process.stderr).not.toContain(' error ');
  });

  it('names every mistake of the configuration at once, with its place, and exits 78', async () => {
    const config = {
      period: 'soon',
      neuron_runtimes: [{ tag_filter: '(', metrics: [{ type: 'neuroncore_counter' }] }],
      exporters: { prometheus: { port: 70_000 }, otpl: {} },
    };
    await using agent = new AgentProcess([], { program, config });
    await agent.process.endsWith(78);
    const { stderr } = agent.process;
    for (const place of [
      'period',
      'neuron_runtimes[0].tag_filter',
      'neuron_runtimes[0].metrics[0].type',
      'exporters.prometheus.port',
      'otpl',
    ]) {
      expect(stderr).toContain(place);
    }
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(agent.process.stdout.length).toBe(0);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('%s ends a live agent with 0', async (signal) => {
    const port = await freePort();
    await using agent = new AgentProcess([], { program, config: agentConfig({ exporters: { prometheus: { port } } }) });
    await agent.process.until('page', async () => ((await fetch(`http://127.0.0.1:${port}/-/healthy`)).ok ? true : undefined));
    agent.process.kill(signal);
    await agent.process.endsWith(0);
    expect(agent.process.stderr).not.toContain(' error ');
  });

  it('exits 2 with help on stderr for wrong usage', async () => {
    await using agent = new AgentProcess(['--no-such-flag'], { program });
    await agent.process.endsWith(2);
    expect(agent.process.stderr).toContain('--no-such-flag');
  });
});

describe('the bundle alone', () => {
  it('needs nothing beside it: version, stream, and OTLP over gRPC', async () => {
    using folder = new TemporaryFolder();
    const alone = folder.file('neuron-otel.cjs');
    copyFileSync(PROGRAMS.bundle, alone);
    await using version = new RunningProcess('bundle', process.execPath, [alone, '--version']);
    await version.endsWith(0);
    expect(version.stdout.toString('utf8')).toMatch(/^neuron-otel \d+\.\d+\.\d+\n$/);
    expect(version.stderr).toBe('');

    // As a program it finds its Node in the path, and gives it settings of its own.
    chmodSync(alone, 0o755);
    const path = [dirname(process.execPath), process.env['PATH']].join(delimiter);
    await using program = new RunningProcess('program', alone, ['--version'], { env: { PATH: path } });
    await program.endsWith(0);
    expect(program.stdout.toString('utf8')).toBe(version.stdout.toString('utf8'));
    expect(readFileSync(alone, 'utf8')).toMatch(
      /^#!\/usr\/bin\/env -S MALLOC_ARENA_MAX=1 .*node --v8-pool-size=1 --min-semi-space-size=2\n/,
    );

    const { bytes, records } = fixture('empty');
    await using collector = await Collector.start();
    const env = { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_ENDPOINT: collector.grpcEndpoint };
    writeFileSync(folder.file('config.json'), JSON.stringify({ source: WITHOUT_HOST }));
    const args = [alone, '-c', folder.file('config.json'), '--source', '-', '--exporter', 'json_stdout,otlp', '--verbose', '1'];
    await using agent = new RunningProcess('bundle', process.execPath, args, { env });
    agent.stdin.end(bytes);
    await agent.endsWith(0);
    expect(agent.stdout.equals(bytes)).toBe(true);
    expect(agent.stderr).toBe('');
    const limit = 'system.memory.limit';
    const received = await collector.receives('both records', (points) => points.filter(({ metric }) => metric === limit).length === 2);
    const series = Object.keys(expectedSeries(records)).find((name) => name.includes(limit)) ?? '';
    expect(receivedSeries(received)[series]).toEqual(expectedSeries(records)[series]);
  });
});

describe.each(BOTH)('the demo of the %s', (program) => {
  it('serves a living page and ends by itself', async () => {
    const port = await freePort();
    await using agent = new AgentProcess(['demo', '--port', String(port), '--seconds', '6'], { program });
    const first = await agent.process.until('page with a Neuron core', async () =>
      valueOf('neuron_core_utilization_ratio', await pageText(port)),
    );
    await eventually(async () => (valueOf('neuron_core_utilization_ratio', await pageText(port)) === first ? undefined : true), {
      timeoutMs: 5_000,
      what: 'the page to change',
      context: () => agent.process.describe(),
    });
    expect(await pageText(port)).toContain('system_memory_limit_bytes');
    await agent.process.endsWith(0);
  });
});

/** Value of the first series of a metric on a page. */
function valueOf(name: string, page: string): string | undefined {
  const line = page.split('\n').find((one) => one.startsWith(`${name}{`) || one.startsWith(`${name} `));
  return line?.slice(line.lastIndexOf(' ') + 1);
}

async function pageText(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  return response.ok ? response.text() : '';
}
