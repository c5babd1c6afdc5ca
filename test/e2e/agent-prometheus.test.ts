import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentConfig } from './support/agent-config.ts';
import { AgentProcess } from './support/agent.ts';
import type { Program } from './support/agent.ts';
import { rounded } from './support/compare.ts';
import { expectedPoints } from './support/expected-points.ts';
import type { ExpectedPoint } from './support/expected-points.ts';
import { parseObject } from './support/json.ts';
import { freePort } from './support/ports.ts';
import { Prometheus, promtoolComplaints } from './support/prometheus.ts';
import type { QueryResult } from './support/prometheus.ts';
import { FIXTURE_NAMES, fixture, fixturePath, nineRealRecords, withPeriod } from './support/recordings.ts';
import type { Recording } from './support/recordings.ts';

/** OpenTelemetry name → name in Prometheus, spelled out: dots, units and `_total` as the OpenTelemetry specification has them. */
const NAMES: Readonly<Record<string, string>> = {
  'neuron.core.utilization': 'neuron_core_utilization_ratio',
  'neuron.core.flops': 'neuron_core_flops_per_second',
  'neuron.core.memory.usage': 'neuron_core_memory_usage_bytes',
  'neuron.executions': 'neuron_executions_total',
  'neuron.execution.errors': 'neuron_execution_errors_total',
  'neuron.execution.latency': 'neuron_execution_latency_seconds',
  'neuron.execution.duration': 'neuron_execution_duration_seconds_count',
  'neuron.runtime.memory.usage': 'neuron_runtime_memory_usage_bytes',
  'neuron.runtime.host_memory.usage': 'neuron_runtime_host_memory_usage_bytes',
  'neuron.device.memory.limit': 'neuron_device_memory_limit_bytes',
  'process.cpu.utilization': 'process_cpu_utilization_ratio',
  'hw.errors': 'hw_errors_total',
  'system.cpu.utilization': 'system_cpu_utilization_ratio',
  'system.memory.limit': 'system_memory_limit_bytes',
  'system.memory.usage': 'system_memory_usage_bytes',
  'neuron.host.context_switches': 'neuron_host_context_switches_total',
};

/** Labels that are not attributes of the point. */
const FOREIGN_LABELS = /^(__name__|job|instance|otel_scope_.*|process_(?!pid).*|neuron_runtime_.*|k8s_.*|le)$/;

const PERIOD_SECONDS = 0.1;

const RUNS: readonly { readonly job: string; readonly program: Program; readonly recording: Recording }[] = [
  { job: 'one', program: 'sources', recording: fixture('trn1-one-runtime') },
  { job: 'tag', program: 'sources', recording: fixture('trn1-same-tag') },
  { job: 'lnc2', program: 'bundle', recording: fixture('trn2-lnc2') },
  // The real captures are not part of the project: they are fed where they lie beside it.
  ...[nineRealRecords()].flatMap((recording) => (recording === undefined ? [] : [{ job: 'real', program: 'sources', recording } as const])),
];

describe('a real Prometheus scrapes the agent', () => {
  const ports = new Map<string, number>();
  let prometheus: Prometheus;

  beforeAll(async () => {
    for (const job of [...RUNS.map((run) => run.job), 'ending']) ports.set(job, await freePort());
    prometheus = await Prometheus.start([...ports].map(([job, port]) => ({ job, port })));
  });
  afterAll(() => prometheus[Symbol.asyncDispose]());

  it.each(RUNS)('$program, $recording.name: every query answers with the numbers of the stream', async ({ job, program, recording }) => {
    const port = ports.get(job) ?? 0;
    await using agent = new AgentProcess([], { program, config: agentConfig({ exporters: { prometheus: { port } } }) });
    const lines = withPeriod(recording.lines, PERIOD_SECONDS);
    // Records that wait while the agent starts would arrive all at once, which says nothing about who has ended.
    await agent.process.until('page', async () => ((await page(port)) === '' ? undefined : true));
    await agent.feedEvery(PERIOD_SECONDS * 1000, lines);
    const expected = expectedPoints(lines.map(parseObject)).at(-1) ?? [];
    // The agent's own counter tells how far the stream has been read.
    await prometheus.answers(`neuron_stream_lines_total{job="${job}"}`, ([read]) => read?.value === lines.length);

    const answers: Record<string, readonly string[]> = {};
    const wanted: Record<string, readonly string[]> = {};
    for (const [metric, name] of Object.entries(NAMES)) {
      answers[name] = sorted((await prometheus.query(`${name}{job="${job}"}`)).map(answerKey));
      wanted[name] = sorted(expected.filter((point) => point.metric === metric).map(expectedKey));
    }
    expect(answers).toEqual(wanted);
    expect(await prometheus.query(`up{job="${job}"}`)).toMatchObject([{ value: 1 }]);
    expect(promtoolComplaints(await page(port))).toBe('');
  });

  it('a process that has ended is gone at the next scrape, and the target is down after the end of the stream', async () => {
    const port = ports.get('ending') ?? 0;
    await using agent = new AgentProcess([], { config: agentConfig({ exporters: { prometheus: { port } } }) });
    agent.feed(withPeriod(fixture('trn1-one-runtime').lines, PERIOD_SECONDS));
    const cores = 'count(neuron_core_utilization_ratio{job="ending"})';
    await prometheus.answers(cores, ([count]) => (count?.value ?? 0) > 0);
    // Whoever is not in the records any more, a period later, has ended.
    const feeding = setInterval(() => agent.feed(withPeriod(fixture('empty').lines, PERIOD_SECONDS)), PERIOD_SECONDS * 1000);
    await prometheus.answers(cores, (results) => results.length === 0).finally(() => clearInterval(feeding));
    expect(await prometheus.query('system_memory_limit_bytes{job="ending"}')).toHaveLength(1);

    agent.feedAndEnd('');
    await agent.process.endsWith(0);
    await prometheus.answers('up{job="ending"}', ([up]) => up?.value === 0);
  });
});

describe('promtool has nothing to say about the page', () => {
  it.each(FIXTURE_NAMES)('%s', async (name) => {
    await using agent = new AgentProcess(['once', '--format', 'prometheus', '--self-metrics', '--source', `file:${fixturePath(name)}`]);
    await agent.process.endsWith(0);
    const text = agent.process.stdout.toString('utf8');
    expect(text).not.toBe('');
    expect(promtoolComplaints(text)).toBe('');
  });
});

async function page(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(response.status).toBe(200);
  return response.text();
}

function answerKey({ labels, value }: QueryResult): string {
  const own = Object.entries(labels).filter(([name]) => !FOREIGN_LABELS.test(name));
  return key(own, value);
}

function expectedKey({ pid, attributes, value }: ExpectedPoint): string {
  const labels = Object.entries(attributes).map(([name, text]) => [name.replaceAll('.', '_'), String(text)] as const);
  return key(pid === undefined ? labels : [...labels, ['process_pid', String(pid)]], value);
}

function key(labels: readonly (readonly [string, string])[], value: number): string {
  return JSON.stringify([...labels.toSorted(([a], [b]) => (a < b ? -1 : 1)), rounded(value)]);
}

function sorted(keys: readonly string[]): readonly string[] {
  return keys.toSorted();
}
