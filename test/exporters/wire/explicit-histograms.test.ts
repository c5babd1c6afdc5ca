import { DataPointType } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { DeltaConverter } from '../../../exporters/otlp/delta.ts';
import { ExplicitHistograms } from '../../../exporters/wire/explicit-histograms.ts';
import { PercentileHistogram } from '../../../src/percentile-histogram.ts';
import { END, exponential, gauge, point, resourceMetrics } from '../otlp/batches.ts';

function recorded(seconds: number, count = 10): PercentileHistogram {
  const histogram = new PercentileHistogram();
  histogram.add({ count, quantiles: new Map([0, 0.5, 1].map((quantile) => [quantile, seconds])) });
  return histogram;
}

describe('ExplicitHistograms', () => {
  it('gives the classic buckets of the same state', () => {
    const value = recorded(0.5);
    const [resource] = new ExplicitHistograms().convert([
      resourceMetrics({ a: 1 }, [exponential('latency', [point(value, { kind: 'total' })])]),
    ]);
    const metric = resource?.scopeMetrics[0]?.metrics[0];
    expect(metric).toMatchObject({ dataPointType: DataPointType.HISTOGRAM, descriptor: { name: 'latency' } });
    const { boundaries, cumulativeCounts } = value.classicBuckets();
    const converted = metric?.dataPoints[0];
    expect(converted).toMatchObject({
      attributes: { kind: 'total' },
      endTime: END,
      value: { count: 10, sum: value.sum, min: 0.5, max: 0.5 },
    });
    if (metric?.dataPointType !== DataPointType.HISTOGRAM) throw new Error('not converted');
    const counts = metric.dataPoints[0]?.value.buckets.counts ?? [];
    expect(counts).toHaveLength(boundaries.length + 1);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(10);
    expect(counts.map((_, index) => counts.slice(0, index + 1).reduce((sum, count) => sum + count, 0))).toEqual(cumulativeCounts);
  });

  it('leaves everything else as it is', () => {
    const foreign = {
      count: 0,
      scale: 0,
      zeroCount: 0,
      positive: { offset: 0, bucketCounts: [] },
      negative: { offset: 0, bucketCounts: [] },
    };
    const metrics = [gauge('g', [point(1)]), exponential('foreign', [point(foreign)])];
    const [resource] = new ExplicitHistograms().convert([resourceMetrics({}, metrics)]);
    expect(resource?.scopeMetrics[0]?.metrics).toEqual(metrics);
  });

  it('keeps the identity that encoders and differences go by', () => {
    const value = recorded(0.5);
    const live = { ...point(value, { kind: 'total' }) };
    const batch = [resourceMetrics({}, [exponential('latency', [live])])];
    const explicit = new ExplicitHistograms();
    const deltas = new DeltaConverter({ temporality: 'delta', createdAtMs: 0 });
    const first = explicit.convert(batch)[0]?.scopeMetrics[0]?.metrics[0];
    deltas.convert(explicit.convert(batch));
    value.add({
      count: 5,
      quantiles: new Map([
        [0, 0.5],
        [1, 0.5],
      ]),
    });
    live.endTime = [END[0] + 1, 0];
    const converted = explicit.convert(batch);
    expect(converted[0]?.scopeMetrics[0]?.metrics[0]).toBe(first);
    expect(deltas.convert(converted)[0]?.scopeMetrics[0]?.metrics[0]?.dataPoints[0]?.value).toMatchObject({ count: 5 });
  });
});
