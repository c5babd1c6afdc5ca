import { defineMetrics } from '../../src/metric-table.ts';
import type { CycleResult, CycleTime, Recorder } from '../../src/receiver.ts';
import type { MetricGroup } from '../../src/readings.ts';
import type { ClockState } from '../../src/sample-clock.ts';
import { SeriesStore } from '../../src/store.ts';
import type { EntityRef, SeriesSelection, SeriesStoreOptions } from '../../src/store.ts';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** A small table with every instrument, for tests of the store, the readers and the exporters. */
export const TEST_METRICS = defineMetrics('neuroncore_counters', {
  utilization: {
    name: 'test.utilization',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: { core: 'int' },
    description: 'Share of the period one core was busy.',
    enabled: true,
    source: { path: 'utilization', scale: 0.01, document: 'test' },
  },
  executions: {
    name: 'test.executions',
    unit: '{execution}',
    instrument: 'counter',
    valueType: 'int',
    attributes: { outcome: 'string' },
    description: 'Executions by outcome.',
    enabled: true,
    source: { path: 'executions' },
  },
  memory: {
    name: 'test.memory.usage',
    unit: 'By',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: { core: 'int' },
    description: 'Bytes held by one core.',
    enabled: true,
    source: { path: 'memory' },
  },
  latency: {
    name: 'test.latency',
    unit: 's',
    instrument: 'histogram',
    valueType: 'double',
    attributes: {},
    description: 'Time of one execution.',
    enabled: true,
    source: { path: 'latency' },
  },
  optional: {
    name: 'test.optional',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: {},
    description: 'A metric that is off by default.',
    enabled: false,
    source: { path: 'optional' },
  },
});

export const HOST: EntityRef = { kind: 'host' };

export function runtime(key: string, attributes: Readonly<Record<string, string | number>> = { 'process.pid': 1 }): EntityRef {
  return { kind: 'runtime', key, attributes };
}

export interface TestCycle extends CycleTime {
  readonly entity: EntityRef;
  readonly group: MetricGroup;
}

/** A store with two shortcuts for tests. */
export class TestStore extends SeriesStore {
  /** Runs a whole cycle. */
  apply({ entity, group, ...time }: TestCycle, record: (recorder: Recorder) => void): CycleResult {
    const begun = this.begin(entity, group, time);
    record(begun);
    return begun.end();
  }

  /** The host first, then each process. */
  collect(select: SeriesSelection = {}): ResourceMetrics[] {
    return [this.collectHost(select), ...this.collectRuntimes(select)];
  }
}

export function testStore(options: Partial<SeriesStoreOptions> = {}): TestStore {
  return new TestStore({
    version: '0',
    resource: { 'service.name': 'test' },
    maxSeries: 10_000,
    isEnabled: (metric) => metric.enabled,
    ...options,
  });
}

export const T0_MS = Date.UTC(2026, 0, 1);

/** The wall clock is as it was when the agent started. */
export const STEADY_CLOCK: ClockState = { shiftMs: 0, setBacks: 0 };

/** A cycle of `neuroncore_counters`, `second` seconds after T0, covering the second before it. */
export function cycle(second: number, entity: EntityRef = HOST, overrides: Partial<TestCycle> = {}): TestCycle {
  return {
    entity,
    group: 'neuroncore_counters',
    sampledAtMs: T0_MS + second * 1000,
    talliesSinceMs: T0_MS + (second - 1) * 1000,
    monotonicMs: second * 1000,
    clockState: STEADY_CLOCK,
    lifetimeMs: 1500,
    ...overrides,
  };
}

export interface FlatPoint {
  readonly metric: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly value: unknown;
  readonly startSecond: number;
  readonly endSecond: number;
}

/** Every point with its metric's name, times in seconds after T0. */
export function flatten(resourceMetrics: readonly ResourceMetrics[]): FlatPoint[] {
  return resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap((metric) =>
        metric.dataPoints.map((point) => ({
          metric: metric.descriptor.name,
          attributes: { ...point.attributes },
          value: point.value,
          startSecond: (point.startTime[0] * 1e9 + point.startTime[1]) / 1e9 - T0_MS / 1000,
          endSecond: (point.endTime[0] * 1e9 + point.endTime[1]) / 1e9 - T0_MS / 1000,
        })),
      ),
    ),
  );
}
