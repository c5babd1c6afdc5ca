import { readdirSync, readFileSync } from 'node:fs';
import { JsonMetricsSerializer } from '@opentelemetry/otlp-transformer';
import { describe, expect, it } from 'vitest';
import { flatten } from '../e2e/support/otlp-json.ts';
import type { FlatPoint } from '../e2e/support/otlp-json.ts';
import { parseObject } from '../e2e/support/json.ts';
import { parsePage } from '../exporters/prometheus/support/parse.ts';
import type { Sample } from '../exporters/prometheus/support/parse.ts';
import { cli } from '../support/cli.ts';
import { replayFixture } from '../support/replay.ts';
import { VERSION } from '../../src/version.ts';

const FIXTURES = 'test/fixtures/neuron-monitor';
/** Its stream has 32 processes; `once with 32 runtimes` compares its sums. */
const LARGEST = 'trn1-32-runtimes';
const CASES = readdirSync(FIXTURES).filter((name) => name !== LARGEST);

async function once(name: string, format: 'json' | 'prometheus' | 'otlp-json'): Promise<string> {
  const { exitCode, stdout, stderr } = await cli(['once', '--source', `file:${FIXTURES}/${name}/stream.ndjson`, '--format', format]);
  expect(exitCode).toBe(0);
  expect(stderr.replaceAll(/^.* warn .*\n/gm, '')).toBe('');
  return stdout;
}

/** The points of the receivers' golden after the last record: on an empty host, whose processes have no start time. */
async function pointsOfGolden(name: string): Promise<readonly FlatPoint[]> {
  const { store } = await replayFixture(name, { seesProcesses: false });
  return flatten(
    store.collect().map((resource) => parseObject(Buffer.from(JsonMetricsSerializer.serializeRequest(resource) ?? []).toString())),
  );
}

/** A point without its times. The resource is the agent's own: it has a version and an id. */
function identified({ metric, scope, resource, attributes, value }: FlatPoint) {
  const own = ['service.version', 'service.instance.id', 'telemetry.distro.name', 'telemetry.distro.version'];
  return { metric, scope, resource: Object.fromEntries(Object.entries(resource).filter(([key]) => !own.includes(key))), attributes, value };
}

/** True when `sample` shows the point: under a name that starts with the metric's, with labels of the point and its resource. */
function shows({ name, labels, value }: Sample, point: FlatPoint): boolean {
  const known = new Map(
    Object.entries({ ...point.resource, ...point.attributes }).map(([key, text]) => [key.replaceAll('.', '_'), String(text)]),
  );
  const needed = [...Object.keys(point.attributes), ...('process.pid' in point.resource ? ['process.pid'] : [])];
  return (
    name.startsWith(point.metric.replaceAll('.', '_')) &&
    Object.entries(labels).every(([label, text]) => known.get(label) === text) &&
    needed.every((key) => key.replaceAll('.', '_') in labels) &&
    Number(value) === (typeof point.value === 'number' ? point.value : point.value['count'])
  );
}

describe.each(CASES)('once --source file:%s', (name) => {
  it('prints the last record as neuron-monitor wrote it', async () => {
    const text = readFileSync(`${FIXTURES}/${name}/stream.ndjson`, 'utf8');
    expect((await once(name, 'json')).trimEnd()).toBe(text.trimEnd().split('\n').at(-1));
  });

  it('prints the points of its golden as OTLP JSON', async () => {
    const points = flatten([parseObject(await once(name, 'otlp-json'))]);
    expect(points.map(identified)).toEqual((await pointsOfGolden(name)).map(identified));
    expect(points.map(({ resource }) => resource['service.version'])).toEqual(points.map(() => VERSION));
  });

  it('prints points that stay apart where a series is job, instance, metric and the attributes of the point', async () => {
    const points = flatten([parseObject(await once(name, 'otlp-json'))]);
    const series = points.map(({ metric, resource, attributes }) =>
      JSON.stringify([metric, resource['service.name'], resource['service.instance.id'] ?? null, attributes]),
    );
    expect(new Set(series).size).toBe(points.length);
  });

  it('prints each point of its golden once on a Prometheus page', async () => {
    const samples = parsePage(await once(name, 'prometheus')).filter(
      (sample) => sample.name !== 'target_info' && !/_(?:bucket|sum)$/.test(sample.name),
    );
    const points = await pointsOfGolden(name);
    expect(points.filter((point) => samples.filter((sample) => shows(sample, point)).length !== 1)).toEqual([]);
    expect(samples).toHaveLength(points.length);
  });
});

describe('once with 32 runtimes', () => {
  it('has every process, every core and the sum of the tallies', async () => {
    const path = `${FIXTURES}/${LARGEST}/stream.ndjson`;
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
  it('names the flag and exits 78 when there is no such file', async () => {
    const { exitCode, stdout, stderr } = await cli(['once', '--source', 'file:/nonexistent/x', '--format', 'json']);
    expect(exitCode).toBe(78);
    expect(stdout).toBe('');
    expect(stderr).toContain('--source: names a file that does not exist: "/nonexistent/x"');
  });

  it('exits 1 when a stream ends without a sample', async () => {
    const { exitCode, stderr } = await cli(['once', '--source', '-', '--format', 'json'], { stdin: 'no json\n' });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('no sample came');
  });

  it('exits 2 without a format, and names the option', async () => {
    const { exitCode, stderr } = await cli(['once']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('--format');
  });
});
