import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import type { ExportOutcome, PushExporter } from '../../src/exporter.ts';
import type { MetricGroup } from '../../src/readings.ts';
import { SampleClock } from '../../src/sample-clock.ts';
import { PullReader, TickReader, countPoints } from '../../src/readers.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { T0_MS, TEST_METRICS, cycle, flatten, runtime, testStore } from '../support/metrics.ts';
import type { FlatPoint } from '../support/metrics.ts';

class SinkExporter implements PushExporter {
  readonly kind = 'push';
  readonly id = 'sink';
  readonly batches: FlatPoint[][] = [];
  readonly resources: Record<string, unknown>[][] = [];
  gate: Promise<void> = Promise.resolve();
  failure: Error | undefined;

  async export({ resourceMetrics }: { readonly resourceMetrics: readonly ResourceMetrics[] }): Promise<ExportOutcome> {
    this.batches.push(flatten(resourceMetrics));
    this.resources.push(resourceMetrics.map(({ resource }) => ({ ...resource.attributes })));
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    return { outcome: 'sent', points: countPoints(resourceMetrics) };
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** The store asks it for each group of each entity that it walks past. */
class CountingGroups extends Set<MetricGroup> {
  asked = 0;

  override has(group: MetricGroup): boolean {
    this.asked += 1;
    return super.has(group);
  }
}

function setUp(options: { readonly selfMetrics?: boolean; readonly groups?: ReadonlySet<MetricGroup> } = {}) {
  const store = testStore();
  const exporter = new SinkExporter();
  const outcomes: ExportOutcome[] = [];
  let skipped = 0;
  const clock = new ManualClock(T0_MS);
  const sampleClock = new SampleClock(clock);
  const reader = new TickReader({
    store,
    sampleClock,
    groups: options.groups ?? new Set(['neuroncore_counters']),
    periodMs: 1000,
    exporters: [exporter],
    selfMetrics: options.selfMetrics ?? false,
    observer: { exported: (_exporter, outcome) => outcomes.push(outcome), skipped: () => (skipped += 1) },
  });
  const pull = new PullReader({ store, sampleClock });
  const provider = new MeterProvider({ readers: [reader, pull] });
  const record = (second: number) => store.apply(cycle(second), (recorder) => recorder.set(TEST_METRICS.utilization, second, { core: 0 }));
  return { clock, sampleClock, store, exporter, outcomes, reader, pull, provider, record, skipped: () => skipped };
}

describe('TickReader', () => {
  it('exports a sample once, and nothing when there is no new one', async () => {
    const { exporter, reader, record } = setUp();
    record(1);
    await reader.tick();
    await reader.tick();
    record(2);
    await reader.tick();
    expect(exporter.batches.map((batch) => batch.map(({ endSecond }) => endSecond))).toEqual([[1], [], [2]]);
  });

  it('gives each process a resource of its own behind the host', async () => {
    const { store, exporter, reader, record } = setUp();
    record(1);
    store.apply(cycle(1, runtime('a', { 'process.pid': 7 })), (recorder) => recorder.set(TEST_METRICS.utilization, 1, { core: 0 }));
    await reader.tick();
    expect(exporter.resources[0]).toEqual([{ 'service.name': 'test' }, { 'service.name': 'test', 'process.pid': 7 }]);
  });

  it.each([true, false])('looks at each group of each entity once for a tick, self-metrics %s', async (selfMetrics) => {
    const groups = new CountingGroups(['neuroncore_counters']);
    const { store, reader, record } = setUp({ selfMetrics, groups });
    record(1);
    for (const key of ['a', 'b']) store.apply(cycle(1, runtime(key)), (recorder) => recorder.set(TEST_METRICS.utilization, 1, { core: 0 }));
    await reader.tick();
    expect(groups.asked).toBe(3);
  });

  it('leaves groups of other periods to their own reader', async () => {
    const { store, exporter, reader } = setUp();
    store.apply({ ...cycle(1), group: 'memory_used' }, (recorder) => recorder.set(TEST_METRICS.memory, 1, { core: 0 }));
    await reader.tick();
    expect(exporter.batches).toEqual([[]]);
  });

  it('never overlaps: a tick during an export waits for its end, so that no record is left out', async () => {
    const { exporter, reader, record, skipped } = setUp();
    const gate = Promise.withResolvers<void>();
    exporter.gate = gate.promise;
    record(1);
    const first = reader.tick();
    await Promise.resolve();
    record(2);
    const second = reader.tick();
    expect(exporter.batches).toHaveLength(1);
    gate.resolve();
    await Promise.all([first, second]);
    expect(exporter.batches.map((batch) => batch.map(({ endSecond }) => endSecond))).toEqual([[1], [2]]);
    expect(skipped()).toBe(0);
  });

  it('skips and counts ticks while one is waiting already, and the waiting one has the latest values', async () => {
    const { exporter, reader, record, skipped } = setUp();
    const gate = Promise.withResolvers<void>();
    exporter.gate = gate.promise;
    record(1);
    const ticks = [reader.tick()];
    await Promise.resolve();
    for (const second of [2, 3, 4]) {
      record(second);
      ticks.push(reader.tick());
    }
    expect(skipped()).toBe(2);
    gate.resolve();
    await Promise.all(ticks);
    expect(exporter.batches.map((batch) => batch.map(({ endSecond }) => endSecond))).toEqual([[1], [4]]);
  });

  it('turns a throwing exporter into a failed outcome and goes on', async () => {
    const { exporter, outcomes, reader, record } = setUp();
    exporter.failure = new Error('broken');
    record(1);
    await reader.tick();
    expect(outcomes).toMatchObject([{ outcome: 'failed', points: 1, error: { code: 'internal', message: 'broken' } }]);
  });

  it('exports ordinary instruments only through the reader that carries self-metrics', async () => {
    for (const selfMetrics of [true, false]) {
      const { exporter, reader, provider, record } = setUp({ selfMetrics });
      provider
        .getMeter('self')
        .createObservableGauge('self.gauge')
        .addCallback((result) => result.observe(1));
      record(1);
      await reader.tick();
      expect(exporter.batches[0]?.map(({ metric }) => metric)).toEqual(
        selfMetrics ? ['self.gauge', 'test.utilization'] : ['test.utilization'],
      );
    }
  });

  describe('self-metrics', () => {
    const selfTimes = async (moves: readonly { readonly waitMs: number; readonly stepMs: number; readonly isCycle: boolean }[]) => {
      const { clock, sampleClock, exporter, reader, provider } = setUp({ selfMetrics: true });
      const counter = provider.getMeter('self').createObservableCounter('self.count');
      counter.addCallback((result) => result.observe(1));
      for (const { waitMs, stepMs, isCycle } of moves) {
        clock.suspend(waitMs);
        clock.jumpWallClock(stepMs);
        if (isCycle) sampleClock.next(clock.nowMs());
        clock.suspend(500);
        await reader.tick();
      }
      return exporter.batches.map(([point]) => ({ start: point?.startSecond ?? Number.NaN, end: point?.endSecond ?? Number.NaN }));
    };
    const CYCLE = { waitMs: 500, stepMs: 0, isCycle: true };

    it('carry the time of the cycle, not of the moment at which the SDK was asked', async () => {
      expect(await selfTimes([CYCLE, CYCLE])).toEqual([
        { start: 0, end: 0.5 },
        { start: 0, end: 1.5 },
      ]);
    });

    it('have a time of their own when there was no new cycle', async () => {
      expect((await selfTimes([CYCLE, { ...CYCLE, isCycle: false }])).map(({ end }) => end)).toEqual([0.5, 2]);
    });

    it.each([-86_400, -3_600, -10])('follow a wall clock that is set back by %s s, with a new start', async (step) => {
      const [before, after] = await selfTimes([CYCLE, { ...CYCLE, stepMs: step * 1000 }]);
      expect(before?.start).toBe(0);
      expect(after?.start).toBe(step);
      expect(after?.end).toBe(1.5 + step);
    });
  });

  it('can be flushed and shut down, and shuts down once the export in flight has ended', async () => {
    const { exporter, reader, provider, record, outcomes } = setUp();
    const gate = Promise.withResolvers<void>();
    exporter.gate = gate.promise;
    record(1);
    void reader.tick();
    const shutdown = provider.shutdown();
    gate.resolve();
    await shutdown;
    expect(outcomes).toHaveLength(1);
  });
});

describe('PullReader', () => {
  it('shows everything live, host first, however often it is asked', async () => {
    const { store, pull, record } = setUp();
    store.apply(cycle(1, runtime('a')), (recorder) => recorder.set(TEST_METRICS.memory, 5, { core: 0 }));
    record(1);
    const first = await pull.snapshot({ selfMetrics: true });
    expect(flatten(first).map(({ metric }) => metric)).toEqual(['test.utilization', 'test.memory.usage']);
    expect(flatten(await pull.snapshot({ selfMetrics: false }))).toEqual(flatten(first));
  });

  it('shows nothing of a group that expired', async () => {
    const { store, pull, record } = setUp();
    record(1);
    store.expire(60_000);
    expect(flatten(await pull.snapshot({ selfMetrics: true }))).toEqual([]);
  });
});
