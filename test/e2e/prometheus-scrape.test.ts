import { createServer, get } from 'node:http';
import type { Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { metrics } from '../../receivers/execution_stats/metrics.ts';
import { metrics as vcpuMetrics } from '../../receivers/vcpu_usage/metrics.ts';
import { startEndpoint } from '../exporters/prometheus/support/endpoint.ts';
import type { Endpoint } from '../exporters/prometheus/support/endpoint.ts';
import { cycle, runtime, testStore } from '../support/metrics.ts';
import { AgentProcess } from './support/agent.ts';
import { freePort } from './support/ports.ts';
import { Prometheus } from './support/prometheus.ts';
import { fixture, withPeriod } from './support/recordings.ts';

/** One distribution of a thousand executions, as neuron-monitor states it. */
const QUANTILES = new Map([
  [0, 0.0041],
  [0.01, 0.0043],
  [0.25, 0.0052],
  [0.5, 0.0065],
  [0.75, 0.0083],
  [0.99, 0.031],
  [1, 0.085],
]);
const COUNT = 1_000;
const DURATION = 'neuron_execution_duration_seconds';

describe('a real Prometheus scrapes the endpoint', () => {
  let endpoint: Endpoint;
  let textOnly: Server;
  let prometheus: Prometheus;
  let nativePrometheus: Prometheus;

  beforeAll(async () => {
    const store = testStore();
    const process = runtime('1', { 'process.pid': 41, 'neuron.runtime.tag': 'train' });
    store.apply(cycle(1, process, { group: 'execution_stats' }), (recorder) => {
      recorder.distribution(metrics.duration, { count: COUNT, quantiles: QUANTILES }, { 'neuron.latency.type': 'total' });
      recorder.add(metrics.executions, COUNT, { 'neuron.execution.outcome': 'completed' });
    });
    store.apply(cycle(1, undefined, { group: 'vcpu_usage' }), (recorder) =>
      recorder.set(vcpuMetrics.utilization, 12.34, { 'cpu.mode': 'user' }),
    );
    endpoint = await startEndpoint({}, {}, () => store.collect());
    textOnly = await startTextProxy(endpoint.port);
    const targets = [
      { job: 'negotiated', port: endpoint.port },
      { job: 'text', port: portOf(textOnly) },
    ];
    // Prometheus 2.42 asks for protobuf, and takes native histograms, when this feature is on; else it asks for OpenMetrics.
    [prometheus, nativePrometheus] = await Promise.all([
      Prometheus.start(targets),
      Prometheus.start(targets, ['--enable-feature=native-histograms']),
    ]);
  });

  afterAll(async () => {
    await Promise.all([prometheus[Symbol.asyncDispose](), nativePrometheus[Symbol.asyncDispose]()]);
    textOnly.closeAllConnections();
    textOnly.close();
    await endpoint[Symbol.asyncDispose]();
  });

  it.each([
    ['OpenMetrics', () => prometheus, 'negotiated'],
    ['text 0.0.4', () => prometheus, 'text'],
    ['protobuf', () => nativePrometheus, 'negotiated'],
  ] as const)('in %s', async (_format, server, job) => {
    const value = async (expression: string): Promise<number | undefined> => (await server().query(expression))[0]?.value;
    await server().answers(`up{job="${job}"}`, ([up]) => up?.value === 1);
    expect(await value(`system_cpu_utilization_ratio{job="${job}",cpu_mode="user"}`)).toBe(0.1234);
    expect(await value(`neuron_executions_total{job="${job}",process_pid="41",neuron_runtime_tag="train"}`)).toBe(COUNT);
    expect(await value(`target_info{job="${job}",service_name="test"}`)).toBe(1);
  });

  it('and its quantiles agree with what neuron-monitor reported, over native and over classic buckets', async () => {
    await nativePrometheus.answers(`up`, (results) => results.length === 2 && results.every(({ value }) => value === 1));
    // Over classic buckets Prometheus has no answer for the quantile 0: the buckets below it are empty.
    for (const [quantile, seconds] of [...QUANTILES].filter(([rank]) => rank > 0)) {
      const quantileOf = async (vector: string): Promise<number> =>
        (await nativePrometheus.query(`histogram_quantile(${quantile}, ${vector})`))[0]?.value ?? Number.NaN;
      const native = await quantileOf(`${DURATION}{job="negotiated"}`);
      const classic = await quantileOf(`${DURATION}_bucket{job="text"}`);
      // Prometheus' rank of a quantile is not neuron-monitor's: between two reported percentiles lies one execution more or less.
      expect(native / seconds).toBeGreaterThan(0.97);
      expect(native / seconds).toBeLessThan(1.03);
      const [below, above] = classicBucketOf(seconds);
      expect(classic).toBeGreaterThanOrEqual(below);
      expect(classic).toBeLessThanOrEqual(above * 1.0001);
    }
    const [count] = await nativePrometheus.query(`histogram_count(${DURATION}{job="negotiated"})`);
    expect(count?.value).toBe(COUNT);
  });

  it('without a word of complaint', () => {
    for (const server of [prometheus, nativePrometheus]) expect(server.process.stderr).not.toMatch(/level=(warn|error)/);
  });
});

/** Expressions of the Grafana dashboard that AWS ships with neuron-monitor. */
const DASHBOARD = [
  'instance_info',
  'count(instance_info)',
  'sum (system_vcpu_count)',
  'avg(sum by (instance_id) (system_vcpu_usage_ratio))',
  'avg(system_memory_used_bytes / system_memory_total_bytes)',
  'avg(system_memory_used_bytes)',
  'count(neuroncore_utilization_ratio > 0)',
  'avg(neuroncore_utilization_ratio)',
  'avg by (neuroncore) (neuroncore_utilization_ratio)',
  'sum(rate(execution_status_total{status_type="completed"}[1m]))',
  'sum(rate(execution_status_total{status_type!="completed"}[1m]))',
  'avg by (percentile) (execution_latency_seconds)',
  'avg by (usage_type) (neuron_runtime_vcpu_usage_ratio)',
  'avg by (usage_type) (system_vcpu_usage_ratio)',
  'avg by (memory_location) (sum by (instance_id, memory_location) (neuron_runtime_memory_used_bytes))',
];

/** Agents that serve the script's page: in its place behind a stream, and by themselves on a simulated host. */
const LEGACY_AGENTS = [
  {
    name: 'in place of the script',
    start: (port: number) => {
      const agent = new AgentProcess(['prometheus', '-p', String(port)]);
      const busy = withPeriod(fixture('trn1-same-tag').lines, 0.5).at(-1) ?? '';
      return {
        agent,
        fed: agent.feedEvery(
          500,
          Array.from({ length: 120 }, () => busy),
        ),
      };
    },
  },
  {
    name: 'on a simulated trn2.48xlarge',
    start: (port: number) => {
      const page = ['--exporter', 'prometheus', '--naming', 'legacy', '--web.listen-address', `127.0.0.1:${port}`];
      return { agent: new AgentProcess(['--source', 'virtual:trn2.48xlarge', ...page]), fed: Promise.resolve() };
    },
  },
] as const;

describe.each(LEGACY_AGENTS)("the AWS dashboard's expressions, $name", ({ start }) => {
  let agent: AgentProcess;
  let prometheus: Prometheus;
  let fed: Promise<void>;

  beforeAll(async () => {
    const port = await freePort();
    ({ agent, fed } = start(port));
    prometheus = await Prometheus.start([{ job: 'legacy', port }]);
  });

  afterAll(async () => {
    await Promise.all([prometheus[Symbol.asyncDispose](), agent[Symbol.asyncDispose]()]);
    await fed;
  });

  it.each(DASHBOARD)('%s', async (expression) => {
    const results = await prometheus.answers(expression, (answers) => answers.length > 0);
    for (const { value } of results) expect(Number.isFinite(value)).toBe(true);
  });

  it('count executions as they happen', async () => {
    const [rate] = await prometheus.answers(
      'sum(rate(execution_status_total{status_type="completed"}[1m]))',
      ([first]) => (first?.value ?? 0) > 0,
    );
    expect(rate?.value).toBeGreaterThan(0);
  });
});

/** The classic bounds around a number of seconds. */
function classicBucketOf(seconds: number): readonly [number, number] {
  const bounds = [-3, -2, -1].flatMap((exponent) => [1, 2, 5].map((digit) => Number(`${digit}e${exponent}`)));
  const above = bounds.find((bound) => bound >= seconds) ?? Number.POSITIVE_INFINITY;
  return [bounds.findLast((bound) => bound < seconds) ?? 0, above];
}

/** Asks for text whatever its client asks for: Prometheus 2.42 cannot be told to. */
function startTextProxy(port: number): Promise<Server> {
  const proxy = createServer((request, response) => {
    const headers = { accept: 'text/plain;version=0.0.4' };
    get({ host: '127.0.0.1', port, path: request.url ?? '/', headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] ?? '' });
      answer.pipe(response);
    }).on('error', () => response.destroy());
  });
  return new Promise((resolve) => proxy.listen(0, '127.0.0.1', () => resolve(proxy)));
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
