import { describe, expect, it } from 'vitest';
import { Agent } from '../../src/agent.ts';
import { Collection } from '../../src/collection.ts';
import { AgentError } from '../../src/errors.ts';
import type { Exporter, ExportOutcome, MetricsBatch, PushExporter, ReportExporter } from '../../src/exporter.ts';
import { silentLogger } from '../../src/log.ts';
import type { Receiver } from '../../src/receiver.ts';
import type { Report } from '../../src/report.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from '../../src/readings.ts';
import { defineMetrics } from '../../src/metric-table.ts';
import { SelfTelemetry } from '../../src/telemetry.ts';
import type { PullSource, ReadingBatch, StreamSink, StreamSource } from '../../src/source.ts';
import { countPoints } from '../../src/readers.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { flatten, testStore } from '../support/metrics.ts';
import type { FlatPoint } from '../support/metrics.ts';

const executionMetrics = defineMetrics('execution_stats', {
  executions: {
    name: 'test.executions',
    unit: '{execution}',
    instrument: 'counter',
    valueType: 'int',
    attributes: { outcome: 'string' },
    description: 'Executions by outcome.',
    enabled: true,
    source: { path: 'execution_summary.*' },
  },
});
const memoryMetrics = defineMetrics('memory_info', {
  used: {
    name: 'test.memory',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: {},
    description: 'Bytes used.',
    enabled: true,
    source: { path: 'memory_used_bytes' },
  },
});

const executionReceiver: Receiver<'execution_stats'> = {
  group: 'execution_stats',
  metrics: executionMetrics,
  receive(reading, recorder) {
    for (const [outcome, tally] of Object.entries(reading.data.execution_summary ?? {}))
      recorder.add(executionMetrics.executions, tally, { outcome });
  },
};
const memoryReceiver: Receiver<'memory_info'> = {
  group: 'memory_info',
  metrics: memoryMetrics,
  receive(reading, recorder) {
    if (reading.data.memory_used_bytes !== undefined) recorder.set(memoryMetrics.used, reading.data.memory_used_bytes, {});
  },
};

class SinkExporter implements PushExporter {
  readonly kind = 'push';
  readonly id = 'sink';
  readonly points: FlatPoint[] = [];
  readonly batches: FlatPoint[][] = [];

  export({ resourceMetrics }: MetricsBatch): Promise<ExportOutcome> {
    const points = flatten([...resourceMetrics]);
    this.batches.push(points);
    this.points.push(...points);
    return Promise.resolve({ outcome: 'sent', points: countPoints(resourceMetrics) });
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class ReportSink implements ReportExporter {
  readonly kind = 'report';
  readonly id = 'report';
  readonly reports: Report[] = [];

  export(report: Report): void {
    this.reports.push(report);
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class FakeStream implements StreamSource {
  readonly kind = 'stream';
  readonly id = 'neuron-monitor';
  sink: StreamSink | undefined;

  groups(): ReadonlySet<MetricGroup> {
    return new Set(['execution_stats', 'memory_info']);
  }

  start(sink: StreamSink): Promise<void> {
    this.sink = sink;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class FakePull implements PullSource {
  readonly kind = 'pull';
  readonly id = 'procfs';
  readonly reads: (readonly MetricGroup[])[] = [];
  readonly #clock: ManualClock;
  hang = false;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  groups: () => ReadonlySet<MetricGroup> = () => new Set(['memory_info']);

  read(groups: ReadonlySet<MetricGroup>): ReadingBatch | Promise<ReadingBatch> {
    this.reads.push([...groups]);
    if (this.hang) return new Promise(() => {});
    const readings: AnyGroupReading[] = [{ group: 'memory_info', data: { memory_used_bytes: 111 } }];
    return { source: 'procfs', sampledAtMs: this.#clock.nowMs(), readings, failures: [], runtimes: [] };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function setUp(parts: { readonly stream?: boolean; readonly pull?: boolean; readonly slow?: boolean } = {}) {
  const clock = new ManualClock();
  const telemetry = new SelfTelemetry({ logger: silentLogger, clock });
  const store = testStore();
  const selection = {
    runtimeGroups: (runtime: RuntimeRef) => (runtime.tag === 'filtered' ? undefined : new Set(['execution_stats'] as const)),
    systemGroups: new Set(['memory_info'] as const),
    periodsMs: new Map<MetricGroup, number>([
      ['execution_stats', 1000],
      ['memory_info', 1000],
    ]),
    defaultPeriodMs: 1000,
  };
  const collection = new Collection({
    clock,
    store,
    selection,
    telemetry,
    receivers: new Map<MetricGroup, Receiver>([
      ['execution_stats', executionReceiver],
      ['memory_info', memoryReceiver],
    ]),
    runtimeResource: (runtime) => ({ 'process.pid': runtime.pid }),
    identify: (runtime) => runtime,
    hostIdentity: () => undefined,
    eccCounts: 'cumulative',
  });
  const sink = new SinkExporter();
  const reports = new ReportSink();
  const stream = new FakeStream();
  const pull = new FakePull(clock);
  const slow = new SlowPull(clock);
  const exporters: readonly Exporter[] = [sink, reports];
  const agent = new Agent({
    clock,
    logger: silentLogger,
    selection,
    store,
    collection,
    telemetry,
    pullSources: [...(parts.pull === true ? [pull] : []), ...(parts.slow === true ? [slow] : [])],
    exporters,
    reports: { fromLine: (line) => ({ document: line.document, line }), fromReadings: () => ({ document: { native: true } }) },
    legacySnapshots: false,
    selfMetrics: false,
    version: '0',
    ...(parts.stream === true ? { stream } : {}),
  });
  const live = async () => flatten([...(await agent.snapshot({ selfMetrics: false }))]);
  return { agent, clock, sink, reports, stream, pull, slow, live };
}

function record(clock: ManualClock, runtimes: readonly RuntimeRef[], extra: readonly AnyGroupReading[] = []): ReadingBatch {
  return {
    source: 'neuron-monitor',
    sampledAtMs: clock.nowMs(),
    runtimes,
    failures: [],
    readings: [
      ...runtimes.map((runtime): AnyGroupReading => ({
        group: 'execution_stats',
        runtime,
        periodSeconds: 1,
        data: { execution_summary: { completed: 10 } },
      })),
      ...extra,
    ],
    line: { bytes: Buffer.from('{}'), document: { pids: runtimes.map(({ pid }) => pid) } },
  };
}

const A: RuntimeRef = { pid: 1, tag: 'same' };
const B: RuntimeRef = { pid: 2, tag: 'same' };

describe('Agent with a stream', () => {
  it('exports every record once, at its arrival', async () => {
    const { agent, clock, sink, stream, reports } = setUp({ stream: true });
    await agent.start();
    for (let second = 0; second < 3; second += 1) {
      await clock.advance(1000);
      await stream.sink?.batch(record(clock, [A]));
    }
    expect(sink.points.map(({ value }) => value)).toEqual([10, 20, 30]);
    expect(reports.reports).toHaveLength(3);
    await agent[Symbol.asyncDispose]();
    expect(sink.points).toHaveLength(3);
  });

  it('keeps processes with the same tag apart, leaves filtered ones out, and drops one that ended with the next record', async () => {
    const { agent, clock, stream, live } = setUp({ stream: true });
    await agent.start();
    await stream.sink?.batch(record(clock, [A, B, { pid: 3, tag: 'filtered' }]));
    expect((await live()).map(({ value }) => value)).toEqual([10, 10]);
    await clock.advance(1000);
    await stream.sink?.batch(record(clock, [B]));
    expect((await live()).map(({ value }) => value)).toEqual([20]);
    await agent[Symbol.asyncDispose]();
  });

  it('removes the points of a silent stream within two periods; totals continue when it returns', async () => {
    const { agent, clock, stream, live } = setUp({ stream: true });
    await agent.start();
    await stream.sink?.batch(record(clock, [A]));
    stream.sink?.state({ state: 'interrupted', error: new AgentError('child_exited', 'neuron-monitor', 'exit code 1'), retryInMs: 1000 });
    await clock.advance(1000);
    expect(await live()).toHaveLength(1);
    await clock.advance(1000);
    expect(await live()).toEqual([]);
    await clock.advance(60_000);
    stream.sink?.state({ state: 'live' });
    await stream.sink?.batch(record(clock, [A]));
    expect((await live()).map(({ value }) => value)).toEqual([20]);
    await agent[Symbol.asyncDispose]();
  });

  it('resolves ended when the stream has ended, and not before', async () => {
    const { agent, clock, stream } = setUp({ stream: true });
    let hasEnded = false;
    void agent.ended.then(() => (hasEnded = true));
    await agent.start();
    await stream.sink?.batch(record(clock, [A]));
    expect(hasEnded).toBe(false);
    stream.sink?.state({ state: 'ended' });
    await agent.ended;
    expect(hasEnded).toBe(true);
    await agent[Symbol.asyncDispose]();
  });
});

describe('Agent with native sources', () => {
  it("samples on the period and reports in neuron-monitor's shape", async () => {
    const { agent, clock, sink, reports } = setUp({ pull: true });
    await agent.start();
    await clock.advance(2500);
    expect(sink.points.map(({ value }) => value)).toEqual([111, 111, 111]);
    expect(reports.reports.map(({ document }) => document)).toEqual([{ native: true }, { native: true }, { native: true }]);
    await agent[Symbol.asyncDispose]();
  });

  it('goes on when a source throws where it must not', async () => {
    const { agent, clock, pull, live } = setUp({ pull: true });
    await agent.start();
    pull.groups = () => {
      throw new Error('broken source');
    };
    await clock.advance(5000);
    expect(await live()).toEqual([]);
    pull.groups = () => new Set(['memory_info']);
    await clock.advance(1000);
    expect((await live()).map(({ value }) => value)).toEqual([111]);
    await agent[Symbol.asyncDispose]();
  });

  it('goes on when a source hangs, and counts it', async () => {
    const { agent, clock, pull, live } = setUp({ pull: true });
    await agent.start();
    await clock.advance(100);
    pull.hang = true;
    await clock.advance(5000);
    expect(await live()).toEqual([]);
    await agent[Symbol.asyncDispose]();
  });
});

/** Answers with the wall clock time at which it was asked, some time later. */
class SlowPull implements PullSource {
  readonly kind = 'pull';
  readonly id = 'nds';
  readonly #clock: ManualClock;
  delayMs = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  groups(): ReadonlySet<MetricGroup> {
    return new Set(['execution_stats']);
  }

  async read(): Promise<ReadingBatch> {
    const sampledAtMs = this.#clock.nowMs();
    const answered = Promise.withResolvers<void>();
    this.#clock.setTimer(() => answered.resolve(), this.delayMs);
    await answered.promise;
    const readings: AnyGroupReading[] = [
      { group: 'execution_stats', runtime: A, periodSeconds: 1, data: { execution_summary: { completed: 1 } } },
    ];
    return { source: this.id, sampledAtMs, readings, failures: [] };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

describe('Agent with a slow native source', () => {
  it.each([
    ['answers within the time that a cycle waits', 200],
    ['answers after its cycle was exported', 400],
    ['answers during the next cycle', 1_100],
    ['answers after two further cycles', 2_600],
  ])('never exports a time older than one it exported before, when the source %s', async (_name, delayMs) => {
    const { agent, clock, sink, slow } = setUp({ pull: true, slow: true });
    slow.delayMs = delayMs;
    await agent.start();
    await clock.advance(10_000);
    await agent[Symbol.asyncDispose]();
    const slowPoints = sink.batches.flat().filter(({ metric }) => metric === 'test.executions');
    expect(slowPoints.length).toBeGreaterThan(1);
    for (const [index, batch] of sink.batches.entries()) {
      const oldest = Math.min(...batch.map(({ endSecond }) => endSecond));
      const sentBefore = sink.batches.slice(0, index).flatMap((points) => points.map(({ endSecond }) => endSecond));
      expect(oldest, `request ${index}`).toBeGreaterThanOrEqual(Math.max(0, ...sentBefore));
    }
    expect(new Set(slowPoints.map(({ endSecond }) => endSecond)).size).toBe(slowPoints.length);
  });

  it('gives all points of a cycle one time', async () => {
    const { agent, clock, sink, slow } = setUp({ pull: true, slow: true });
    slow.delayMs = 100;
    await agent.start();
    await clock.advance(500);
    await agent[Symbol.asyncDispose]();
    expect(sink.points.map(({ metric }) => metric)).toEqual(['test.memory', 'test.executions']);
    expect(new Set(sink.points.map(({ endSecond }) => endSecond)).size).toBe(1);
  });
});

describe('Agent with a stream above a native source', () => {
  it('lets exactly one source serve a group: the stream while it delivers it, the other one before and after', async () => {
    const { agent, clock, stream, pull, live, reports } = setUp({ stream: true, pull: true });
    const fromStream: AnyGroupReading = { group: 'memory_info', periodSeconds: 1, data: { memory_used_bytes: 222 } };
    await agent.start();
    await clock.advance(100);
    expect((await live()).map(({ value }) => value)).toEqual([111]);
    for (let second = 0; second < 3; second += 1) {
      await stream.sink?.batch(record(clock, [], [fromStream]));
      await clock.advance(1000);
      expect((await live()).map(({ value }) => value)).toEqual([222]);
    }
    const readsBefore = pull.reads.length;
    expect(readsBefore).toBe(1);
    stream.sink?.state({ state: 'interrupted', error: new AgentError('child_exited', 'neuron-monitor', 'exit code 1'), retryInMs: 1000 });
    await clock.advance(2000);
    expect((await live()).map(({ value }) => value)).toEqual([111]);
    expect(reports.reports.at(-1)?.document).toEqual({ native: true });
    await stream.sink?.batch(record(clock, [], [fromStream]));
    expect((await live()).map(({ value }) => value)).toEqual([222]);
    await agent[Symbol.asyncDispose]();
  });

  it('fills in what the stream lacks', async () => {
    const { agent, clock, stream, live } = setUp({ stream: true, pull: true });
    await agent.start();
    await clock.advance(100);
    await stream.sink?.batch(record(clock, [A]));
    expect((await live()).map(({ metric, value }) => [metric, value])).toEqual([
      ['test.memory', 111],
      ['test.executions', 10],
    ]);
    await agent[Symbol.asyncDispose]();
  });

  it('may be disposed before it started, and again', async () => {
    const { agent, pull } = setUp({ stream: true, pull: true });
    await agent[Symbol.asyncDispose]();
    await expect(agent[Symbol.asyncDispose]()).resolves.toBeUndefined();
    expect(pull.reads).toEqual([]);
  });
});
