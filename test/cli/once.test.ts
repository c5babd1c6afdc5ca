import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cli } from '../support/cli.ts';
import { expectGolden } from '../support/golden.ts';

const FIXTURES = 'test/fixtures/neuron-monitor';
/** 440 kB a line: its sums are asserted instead. */
const TOO_LARGE_FOR_A_GOLDEN = 'trn1-32-runtimes';
const CASES = readdirSync(FIXTURES).filter((name) => name !== TOO_LARGE_FOR_A_GOLDEN);
const FORMATS = [
  ['json', 'json'],
  ['prometheus', 'prom'],
  ['otlp-json', 'otlp.json'],
] as const;

describe.each(CASES)('once --source file:%s', (name) => {
  it.each(FORMATS)('--format %s prints exactly the golden output', async (format, extension) => {
    const { exitCode, stdout, stderr } = await cli(['once', '--source', `file:${FIXTURES}/${name}/stream.ndjson`, '--format', format]);
    expect({ exitCode, stderr: stderr.replaceAll(/^.* warn .*\n/gm, '') }).toEqual({ exitCode: 0, stderr: '' });
    expectGolden(`once/${name}.${extension}`, format === 'otlp-json' ? `${JSON.stringify(JSON.parse(stdout), null, 1)}\n` : stdout);
  });
});

describe('once --format json', () => {
  it.each(CASES)('prints the last record of %s as neuron-monitor wrote it', async (name) => {
    const path = `${FIXTURES}/${name}/stream.ndjson`;
    const { stdout } = await cli(['once', '--source', `file:${path}`, '--format', 'json']);
    expect(stdout.trimEnd()).toBe(readFileSync(path, 'utf8').trimEnd().split('\n').at(-1));
  });
});

describe('once with 32 runtimes', () => {
  it('has every process, every core and the sum of the tallies', async () => {
    const path = `${FIXTURES}/${TOO_LARGE_FOR_A_GOLDEN}/stream.ndjson`;
    const records = readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { stdout } = await cli(['once', '--source', `file:${path}`, '--format', 'prometheus']);
    const lines = stdout.split('\n');
    expect(new Set(lines.flatMap((line) => /process_pid="(\d+)"/.exec(line)?.[1] ?? []))).toEqual(
      new Set(records.at(-1).neuron_runtime_data.map(({ pid }: { pid: number }) => String(pid))),
    );
    expect(lines.filter((line) => line.startsWith('neuron_core_utilization_ratio{'))).toHaveLength(32 * 32);
    const expected = records
      .flatMap((record) => record.neuron_runtime_data)
      .reduce((sum, runtime) => sum + runtime.report.execution_stats.execution_summary.completed, 0);
    const completed = lines
      .filter((line) => /^neuron_executions_total\{.*outcome="completed"/.test(line))
      .map((line) => Number(line.split(' ').at(-1)));
    expect(completed.reduce((sum, value) => sum + value, 0)).toBe(expected);
  });
});

describe('once', () => {
  it('says so and exits 1 when there is no such file', async () => {
    const { exitCode, stdout, stderr } = await cli(['once', '--source', 'file:/nonexistent/x', '--format', 'json']);
    expect([exitCode, stdout]).toEqual([1, '']);
    expect(stderr).toContain('source_absent');
  });

  it('exits 1 when a stream ends without a sample', async () => {
    const { exitCode, stderr } = await cli(['once', '--source', '-', '--format', 'json'], { stdin: 'no json\n' });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('no sample came');
  });

  it('needs a format, and says which there are', async () => {
    const { exitCode, stderr } = await cli(['once']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('--format');
  });
});
