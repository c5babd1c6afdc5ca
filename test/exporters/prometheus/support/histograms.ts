import { ValueType } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { ExponentialHistogram, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** An exponential histogram of these values, with classic buckets at these bounds, as the latency histograms are. */
export function histogramOf(
  values: readonly number[],
  { scale, bounds }: { readonly scale: number; readonly bounds: readonly number[] },
): ExponentialHistogram & { classicBuckets(): { readonly boundaries: readonly number[]; readonly cumulativeCounts: readonly number[] } } {
  const indexes = values.map((value) => Math.ceil(Math.log2(value) * 2 ** scale) - 1);
  const offset = Math.min(...indexes);
  const bucketCounts = Array.from({ length: Math.max(...indexes) - offset + 1 }, () => 0);
  for (const index of indexes) bucketCounts[index - offset] = (bucketCounts[index - offset] ?? 0) + 1;
  const sum = values.reduce((total, value) => total + value, 0);
  return {
    count: values.length,
    sum,
    scale,
    zeroCount: 0,
    positive: { offset, bucketCounts },
    negative: { offset: 0, bucketCounts: [] },
    classicBuckets: () => ({
      boundaries: bounds,
      cumulativeCounts: [...bounds, Number.POSITIVE_INFINITY].map((bound) => values.filter((value) => value <= bound).length),
    }),
  };
}

/** One collection with one histogram of seconds. */
export function histogramCollection(value: ExponentialHistogram): readonly ResourceMetrics[] {
  return [
    {
      resource: resourceFromAttributes({ 'service.name': 'test' }),
      scopeMetrics: [
        {
          scope: { name: 'execution_stats' },
          metrics: [
            {
              descriptor: { name: 'test.duration', description: 'Time of one execution.', unit: 's', valueType: ValueType.DOUBLE },
              dataPointType: DataPointType.EXPONENTIAL_HISTOGRAM,
              aggregationTemporality: AggregationTemporality.CUMULATIVE,
              dataPoints: [{ attributes: { kind: 'total' }, startTime: [1_767_225_600, 500_000_000], endTime: [1_767_225_610, 0], value }],
            },
          ],
        },
      ],
    },
  ];
}
