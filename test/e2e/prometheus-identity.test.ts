/** Two hosts with 32 processes each reach a Prometheus: each point stays a series of its own, and can be found by its process. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentProcess, projectRoot } from './support/agent.ts';
import { Collector } from './support/collector.ts';
import { eventually } from './support/eventually.ts';
import { TemporaryFolder } from './support/folder.ts';
import { parseObject } from './support/json.ts';
import { flatten } from './support/otlp-json.ts';
import type { FlatPoint } from './support/otlp-json.ts';
import { Prometheus3 } from './support/prometheus-3.ts';
import type { QueryResult } from './support/prometheus.ts';

const STREAM = readFileSync(join(projectRoot, 'test/fixtures/neuron-monitor/trn1-32-runtimes/stream.ndjson'), 'utf8');
const INSTANCE_ID = 'i-0123456789abcdef0';
const PROCESSES_PER_HOST = 32;

/** What tells the two hosts apart. Everything else is the same, the pids and tags of their processes too. */
const HOSTS = [
  {
    name: 'the machine-id, where the instance metadata is blocked',
    instanceIds: ['', ''],
    machineIds: ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210'],
  },
  {
    name: 'the id of the instance, where both come from one image and have its machine-id',
    instanceIds: ['i-0123456789abcdef0', 'i-0fedcba9876543210'],
    machineIds: ['0123456789abcdef0123456789abcdef', '0123456789abcdef0123456789abcdef'],
  },
] as const;

let folder: TemporaryFolder;

beforeEach(() => {
  folder = new TemporaryFolder();
});

afterEach(() => {
  folder[Symbol.dispose]();
});

interface TestHost {
  readonly stream: string;
  readonly env: Readonly<Record<string, string>>;
}

function hostOf(index: number, instanceId: string, machineId: string): TestHost {
  const root = folder.file(`host-${index}`);
  for (const part of ['etc', 'sys', 'proc']) mkdirSync(join(root, part), { recursive: true });
  writeFileSync(join(root, 'etc/machine-id'), `${machineId}\n`);
  const stream = join(root, 'stream.ndjson');
  writeFileSync(stream, STREAM.replaceAll(INSTANCE_ID, instanceId));
  const roots = { NEURON_OTEL_FS_ROOT: root, NEURON_OTEL_SYS_ROOT: join(root, 'sys'), NEURON_OTEL_PROC_ROOT: join(root, 'proc') };
  return { stream, env: roots };
}

/** What the agent of this host has in the end, as it prints it. */
async function pointsOf(host: TestHost): Promise<readonly FlatPoint[]> {
  await using agent = new AgentProcess(['once', '--source', `file:${host.stream}`, '--format', 'otlp-json'], { env: host.env });
  await agent.process.exited;
  return flatten([parseObject(agent.process.stdout.toString('utf8'))]);
}

/** Replays the stream of this host to its end. */
async function send(host: TestHost, endpoint: string): Promise<void> {
  const config = { telemetry: { self_metrics: false }, exporters: { otlp: { endpoint } } };
  await using agent = new AgentProcess(['--source', `file:${host.stream}`, '--speed', 'max'], { env: host.env, config });
  const exit = await agent.process.exited;
  expect(exit, agent.process.describe()).toEqual({ code: 0, signal: null });
}

/** A series in the backend, or the series that a point must become: name, job, instance and the attributes of the point. */
function identityOf(labels: Readonly<Record<string, unknown>>): string {
  const own = Object.entries(labels).filter(([name]) => !name.startsWith('otel_scope'));
  return JSON.stringify(
    own.map(([name, value]) => [name.replaceAll('.', '_'), String(value)]).toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  );
}

function expectedSeries({ metric, resource, attributes, value }: FlatPoint): readonly [string, number] {
  const labels = {
    ...attributes,
    __name__: metric.replaceAll('.', '_'),
    job: resource['service.name'],
    instance: resource['service.instance.id'],
  };
  return [identityOf(labels), typeof value === 'number' ? value : Number(value['count'])];
}

async function seriesOf(prometheus: Prometheus3): Promise<readonly QueryResult[]> {
  return prometheus.query('{job="neuron-otel", __name__!="target_info"}');
}

async function expectAllApart(prometheus: Prometheus3, points: readonly FlatPoint[]): Promise<void> {
  const expected = new Map(points.map((point) => expectedSeries(point)));
  expect(expected.size).toBe(points.length);
  const isRight = ({ labels, value }: QueryResult): boolean => expected.get(identityOf(labels)) === value;
  // The last record is on its way when the first one is there already.
  const series = await eventually(
    async () => {
      const found = await seriesOf(prometheus);
      return found.filter(isRight).length >= points.length ? found : undefined;
    },
    { timeoutMs: 30_000, what: `${points.length} series with the values of their points`, context: () => prometheus.process.describe() },
  );
  expect(series).toHaveLength(points.length);
  expect(await prometheus.query('count(target_info{job="neuron-otel"})')).toMatchObject([{ value: 2 * (1 + PROCESSES_PER_HOST) }]);
}

/** A query that finds a process by what is in `target_info` only. */
async function expectFoundByProcess(prometheus: Prometheus3): Promise<void> {
  const info = 'on (job, instance) group_left (process_pid, neuron_runtime_tag) target_info{neuron_runtime_tag="rank0"}';
  const found = await prometheus.query(`neuron_core_utilization * ${info}`);
  const byInstance = Map.groupBy(found, ({ labels }) => labels['instance']);
  expect(byInstance.size).toBe(2);
  for (const { labels } of found) expect(labels).toMatchObject({ process_pid: '30000', neuron_runtime_tag: 'rank0' });
}

const WITHOUT_SUFFIXES = { otlp: { translation_strategy: 'UnderscoreEscapingWithoutSuffixes' } };

describe.each(HOSTS)('two hosts that differ in $name', ({ instanceIds, machineIds }) => {
  const hosts = (): readonly TestHost[] => instanceIds.map((id, index) => hostOf(index, id, machineIds[index] ?? ''));

  it('stay apart in the OTLP receiver of Prometheus 3', { timeout: 120_000 }, async () => {
    await using prometheus = await Prometheus3.start(WITHOUT_SUFFIXES);
    const both = hosts();
    const points = (await Promise.all(both.map(async (host) => pointsOf(host)))).flat();
    for (const host of both) await send(host, prometheus.otlpEndpoint);
    await expectAllApart(prometheus, points);
    await expectFoundByProcess(prometheus);
    console.log(`${points.length} points, as many series`);
  });

  it('stay apart behind a Collector that writes to Prometheus', { timeout: 120_000 }, async () => {
    await using prometheus = await Prometheus3.start(WITHOUT_SUFFIXES);
    await using collector = await Collector.start({ remoteWriteUrl: prometheus.remoteWriteUrl });
    const both = hosts();
    const points = (await Promise.all(both.map(async (host) => pointsOf(host)))).flat();
    for (const host of both) await send(host, collector.httpEndpoint);
    await expectAllApart(prometheus, points);
    await expectFoundByProcess(prometheus);
  });
});
