import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { SelfInstruments } from '../../src/self-instruments.ts';
import { SELF_METRICS } from '../../src/self-metrics.ts';
import { T0_MS, flattenMetrics } from '../support/metrics.ts';

class PlainReader extends MetricReader {
  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
}

/** The same instruments as observable ones of the SDK. */
class SdkInstruments {
  readonly counts = new Map<string, number>();
  readonly observed = new Map<string, number>();
  readonly #reader = new PlainReader();

  constructor() {
    const meter = new MeterProvider({ readers: [this.#reader] }).getMeter('neuron-otel');
    const { collectionErrors, sampleAge } = SELF_METRICS;
    meter.createObservableCounter(collectionErrors.name, collectionErrors).addCallback((result) => {
      for (const [group, value] of this.counts) result.observe(value, { 'neuron.group': group });
    });
    meter.createObservableGauge(sampleAge.name, sampleAge).addCallback((result) => {
      for (const [group, value] of this.observed) result.observe(value, { 'neuron.group': group });
    });
  }

  async collect(): Promise<MetricData[]> {
    const { resourceMetrics } = await this.#reader.collect();
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
  }
}

const group = fc.constantFrom('vcpu_usage', 'memory_info', 'execution_stats');
/** Counts and observations between two collections. */
const round = fc.record({
  counted: fc.array(fc.tuple(group, fc.nat({ max: 9 })), { maxLength: 4 }),
  observed: fc.uniqueArray(fc.tuple(group, fc.double({ noNaN: true })), { maxLength: 3, selector: ([name]) => name }),
});

describe('the instruments', () => {
  it('give the points that observable instruments of the SDK give', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(round, { maxLength: 6 }), async (rounds) => {
          const sdk = new SdkInstruments();
          const own = new SelfInstruments({ failed: () => {} });
          own.gauge('sampleAge', () => [...sdk.observed].map(([name, value]) => [value, { 'neuron.group': name }]));
          for (const [index, { counted, observed }] of rounds.entries()) {
            vi.setSystemTime(T0_MS + index * 1_500);
            for (const [name, increment] of counted) {
              sdk.counts.set(name, (sdk.counts.get(name) ?? 0) + increment);
              own.count('collectionErrors', { 'neuron.group': name }, increment);
            }
            sdk.observed.clear();
            for (const [name, value] of observed) sdk.observed.set(name, value);
            const expected = await sdk.collect();
            const collected = own.collect(Date.now()).toSorted((a, b) => (a.descriptor.name < b.descriptor.name ? -1 : 1));
            expect(flattenMetrics(collected)).toEqual(flattenMetrics(expected));
            expect(collected).toMatchObject(
              expected.map(({ descriptor: { name, unit, description, valueType }, ...data }) => ({
                descriptor: { name, unit, description, valueType },
                dataPointType: data.dataPointType,
                aggregationTemporality: data.aggregationTemporality,
                ...('isMonotonic' in data && { isMonotonic: data.isMonotonic }),
              })),
            );
          }
        }),
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it('keep the identity of metric data, points and attributes', () => {
    const instruments = new SelfInstruments({ failed: () => {} });
    instruments.count('streamLines', { 'neuron.source': 'procfs' });
    instruments.gauge('seriesCount', () => [[1, {}]]);
    const before = instruments.collect(1_000).map((metric) => ({ metric, points: [...metric.dataPoints] }));
    instruments.count('streamLines', { 'neuron.source': 'procfs' });
    const after = instruments.collect(2_000);
    expect(after.length).toBe(2);
    for (const [index, metric] of after.entries()) {
      expect(metric).toBe(before[index]?.metric);
      expect(metric.dataPoints[0]).toBe(before[index]?.points[0]);
    }
    expect(after[0]?.dataPoints[0]).toMatchObject({ startTime: [1, 0], endTime: [2, 0], value: 2 });
  });

  it('survive a gauge that cannot be observed, and say so', () => {
    const failures: unknown[] = [];
    const instruments = new SelfInstruments({ failed: (thrown) => void failures.push(thrown) });
    const broken = new Error('broken');
    instruments.gauge('seriesCount', () => {
      throw broken;
    });
    instruments.count('streamLines', {});
    expect(instruments.collect(0).map(({ descriptor }) => descriptor.name)).toEqual(['neuron.stream.lines']);
    expect(failures).toEqual([broken]);
  });
});
