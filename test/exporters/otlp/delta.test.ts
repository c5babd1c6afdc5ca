import type { HrTime } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import type { DataPoint, ExponentialHistogram, MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { DeltaConverter } from '../../../exporters/otlp/delta.ts';
import { counter, exponential, gauge, histogram, point, resourceMetrics } from './batches.ts';

const CREATED_AT_MS = 1_000_000_000_000;
const CREATED: HrTime = [1_000_000_000, 0];

function at(seconds: number): HrTime {
  return [1_000_000_000 + seconds, 0];
}

function live<T>(value: T, startTime: HrTime = CREATED): { -readonly [K in keyof DataPoint<T>]: DataPoint<T>[K] } {
  return { ...point(value, { core: 1 }, at(1), startTime) };
}

function converter(temporality: 'delta' | 'lowmemory' = 'delta'): DeltaConverter {
  return new DeltaConverter({ temporality, createdAtMs: CREATED_AT_MS });
}

function only(resources: readonly ResourceMetrics[]): MetricData | undefined {
  return resources[0]?.scopeMetrics[0]?.metrics[0];
}

describe('DeltaConverter', () => {
  it('reports what was added, from the end of the interval before', () => {
    const series = live(10);
    const batch = [resourceMetrics({}, [counter('executions', [series])])];
    const deltas = converter();
    const first = only(deltas.convert(batch));
    expect(first).toMatchObject({ aggregationTemporality: AggregationTemporality.DELTA, isMonotonic: true });
    expect(first?.dataPoints).toEqual([{ attributes: { core: 1 }, startTime: CREATED, endTime: at(1), value: 10 }]);
    series.value = 13;
    series.endTime = at(2);
    expect(only(deltas.convert(batch))?.dataPoints).toEqual([{ attributes: { core: 1 }, startTime: at(1), endTime: at(2), value: 3 }]);
  });

  it('keeps metric data, points and attributes identical between collections', () => {
    const series = live(10);
    const batch = [resourceMetrics({}, [counter('executions', [series])])];
    const deltas = converter();
    const first = only(deltas.convert(batch));
    const firstPoint = first?.dataPoints[0];
    series.endTime = at(2);
    const second = only(deltas.convert(batch));
    expect(second).toBe(first);
    expect(second?.dataPoints[0]).toBe(firstPoint);
    expect(second?.dataPoints[0]?.attributes).toBe(series.attributes);
  });

  it('does not report again what an agent before this one reported', () => {
    const series = live(1000, at(-3600));
    const batch = [resourceMetrics({}, [counter('ecc', [series])])];
    const deltas = converter();
    expect(deltas.convert(batch)).toEqual([]);
    series.value = 1002;
    series.endTime = at(2);
    expect(only(deltas.convert(batch))?.dataPoints).toMatchObject([{ startTime: at(1), endTime: at(2), value: 2 }]);
  });

  it('leaves out series without a new sample', () => {
    const series = live(10);
    const batch = [resourceMetrics({}, [counter('executions', [series])])];
    const deltas = converter();
    deltas.convert(batch);
    expect(deltas.convert(batch)).toEqual([]);
  });

  it.each([
    { name: 'a total that goes on', startTime: at(-86_400), value: 13, expected: { startTime: at(-86_390), value: 3 } },
    { name: 'what begins again', startTime: at(-86_391), value: 4, expected: { startTime: at(-86_391), value: 4 } },
  ])('reports $name after the wall clock was set back by a day', ({ startTime, value, expected }) => {
    const series = live(10);
    const batch = [resourceMetrics({}, [counter('executions', [series])])];
    const deltas = converter();
    deltas.convert(batch);
    series.startTime = startTime;
    series.endTime = at(-86_390);
    series.value = value;
    expect(only(deltas.convert(batch))?.dataPoints).toMatchObject([{ ...expected, endTime: at(-86_390) }]);
  });

  it.each([
    { name: 'a new start time', startTime: at(1), value: 4, expected: { startTime: at(1), value: 4 } },
    { name: 'a new start time before the last sample', startTime: at(0.5), value: 4, expected: { startTime: at(1), value: 4 } },
    { name: 'a smaller value', startTime: CREATED, value: 4, expected: { startTime: at(1), value: 4 } },
  ])('starts again after $name', ({ startTime, value, expected }) => {
    const series = live(10);
    const batch = [resourceMetrics({}, [counter('executions', [series])])];
    const deltas = converter();
    deltas.convert(batch);
    Object.assign(series, { startTime, value, endTime: at(2) });
    expect(only(deltas.convert(batch))?.dataPoints).toMatchObject([{ ...expected, endTime: at(2) }]);
  });

  it('passes gauges, up-down counters and what is delta already', () => {
    const already = { ...counter('d', [live(1)]), aggregationTemporality: AggregationTemporality.DELTA };
    const metrics = [gauge('g', [live(1)]), counter('u', [live(1)], false), already];
    expect(converter().convert([resourceMetrics({}, metrics)])[0]?.scopeMetrics[0]?.metrics).toEqual(metrics);
  });

  it('keeps counters cumulative with lowmemory, and converts histograms', () => {
    const value = { buckets: { boundaries: [1], counts: [1, 2] }, count: 3, sum: 4, min: 0.5, max: 2 };
    const metrics = [counter('c', [live(1)]), histogram('h', [live(value)])];
    const converted = converter('lowmemory').convert([resourceMetrics({}, metrics)])[0]?.scopeMetrics[0]?.metrics;
    expect(converted?.map(({ aggregationTemporality }) => aggregationTemporality)).toEqual([
      AggregationTemporality.CUMULATIVE,
      AggregationTemporality.DELTA,
    ]);
  });

  it('reports what was added to a histogram, without the extremes it cannot know', () => {
    const series = live({ buckets: { boundaries: [1], counts: [1, 2] }, count: 3, sum: 4, min: 0.5, max: 2 });
    const batch = [resourceMetrics({}, [histogram('h', [series])])];
    const deltas = converter();
    expect(only(deltas.convert(batch))?.dataPoints[0]?.value).toEqual(series.value);
    series.value.buckets.counts = [1, 5];
    Object.assign(series.value, { count: 6, sum: 10 });
    series.endTime = at(2);
    expect(only(deltas.convert(batch))?.dataPoints[0]?.value).toEqual({ buckets: { boundaries: [1], counts: [0, 3] }, count: 3, sum: 6 });
  });

  it('starts again when the boundaries of a histogram change', () => {
    const series = live({ buckets: { boundaries: [1], counts: [1, 2] }, count: 3 });
    const batch = [resourceMetrics({}, [histogram('h', [series])])];
    const deltas = converter();
    deltas.convert(batch);
    series.value = { buckets: { boundaries: [2], counts: [3, 4] }, count: 7 };
    series.endTime = at(2);
    expect(only(deltas.convert(batch))?.dataPoints[0]?.value).toEqual(series.value);
  });

  it('adds up to the cumulative exponential histogram, whatever is recorded and however its scale falls', () => {
    const step = fc.record({
      shift: fc.constantFrom(0, 0, 0, 1, 2),
      zeros: fc.nat(3),
      recorded: fc.array(fc.tuple(fc.integer({ min: -200, max: 200 }), fc.integer({ min: 1, max: 5 })), { maxLength: 12 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
        const series = live<ExponentialHistogram>(toHistogram(new Map(), 10, 0));
        const batch = [resourceMetrics({}, [exponential('latency', [series])])];
        const deltas = converter();
        let buckets = new Map<number, number>();
        let scale = 10;
        let zeroCount = 0;
        const sums = { count: 0, sum: 0, zeroCount: 0, buckets: new Map<number, number>() };
        for (const [index, { shift, zeros, recorded }] of steps.entries()) {
          scale -= shift;
          buckets = shifted(buckets, shift);
          zeroCount += zeros;
          for (const [bucket, count] of recorded) buckets.set(bucket, (buckets.get(bucket) ?? 0) + count);
          series.value = toHistogram(buckets, scale, zeroCount);
          series.endTime = at(index + 1);
          const delta = only(deltas.convert(batch));
          if (delta?.dataPointType !== DataPointType.EXPONENTIAL_HISTOGRAM) throw new Error('not converted');
          const [one] = delta.dataPoints;
          if (one === undefined) throw new Error('no point');
          expect(one.value.scale).toBe(scale);
          sums.count += one.value.count;
          sums.sum += one.value.sum ?? Number.NaN;
          sums.zeroCount += one.value.zeroCount;
          sums.buckets = shifted(sums.buckets, shift);
          for (const [at_, count] of one.value.positive.bucketCounts.entries()) {
            const bucket = one.value.positive.offset + at_;
            sums.buckets.set(bucket, (sums.buckets.get(bucket) ?? 0) + count);
          }
        }
        expect({ ...sums, buckets: nonZero(sums.buckets) }).toEqual({
          count: series.value.count,
          sum: series.value.sum,
          zeroCount,
          buckets: nonZero(buckets),
        });
      }),
      { numRuns: 200 },
    );
  });

  it('knows the series of ordinary SDK instruments from one collection to the next', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: CREATED_AT_MS });
    const reader = new TestReader();
    const provider = new MeterProvider({ readers: [reader] });
    const requests = provider.getMeter('self').createCounter('requests');
    const durations = provider.getMeter('self').createHistogram('duration');
    const deltas = new DeltaConverter({ temporality: 'delta', createdAtMs: 0 });
    const values: unknown[] = [];
    for (let round = 0; round < 3; round += 1) {
      requests.add(5, { route: 'a' });
      requests.add(1);
      durations.record(3, { route: 'a' });
      vi.setSystemTime(CREATED_AT_MS + 1000 * (round + 1));
      const { resourceMetrics: collected } = await reader.collect();
      for (const metric of deltas.convert([collected])[0]?.scopeMetrics[0]?.metrics ?? []) {
        for (const { value } of metric.dataPoints) values.push(typeof value === 'number' ? value : value.count);
      }
    }
    expect(values).toEqual([5, 1, 1, 5, 1, 1, 5, 1, 1]);
    await provider.shutdown();
    vi.useRealTimers();
  });
});

class TestReader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

function toHistogram(buckets: ReadonlyMap<number, number>, scale: number, zeroCount: number): ExponentialHistogram {
  const indexes = [...buckets.keys()];
  const offset = indexes.length === 0 ? 0 : Math.min(...indexes);
  const length = indexes.length === 0 ? 0 : Math.max(...indexes) - offset + 1;
  const bucketCounts = Array.from({ length }, (_, index) => buckets.get(offset + index) ?? 0);
  const count = zeroCount + bucketCounts.reduce((sum, one) => sum + one, 0);
  return { count, sum: count * 2, scale, zeroCount, positive: { offset, bucketCounts }, negative: { offset: 0, bucketCounts: [] } };
}

function shifted(buckets: ReadonlyMap<number, number>, shift: number): Map<number, number> {
  const merged = new Map<number, number>();
  for (const [bucket, count] of buckets) merged.set(bucket >> shift, (merged.get(bucket >> shift) ?? 0) + count);
  return merged;
}

function nonZero(buckets: ReadonlyMap<number, number>): [number, number][] {
  return [...buckets].filter(([, count]) => count > 0).toSorted(([a], [b]) => a - b);
}
