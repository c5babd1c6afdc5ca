import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, ExponentialHistogram, Histogram, MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { MetricsBatch } from '../../src/exporter.ts';

/** Copies what the next collection will change: points and their values. Attributes, descriptors and resources are shared. */
export function snapshotBatch(batch: MetricsBatch): MetricsBatch {
  return { resourceMetrics: batch.resourceMetrics.map(snapshotResource) };
}

function snapshotResource({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
  return { resource, scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({ scope, metrics: metrics.map(snapshotMetric) })) };
}

function snapshotMetric(metric: MetricData): MetricData {
  switch (metric.dataPointType) {
    case DataPointType.GAUGE:
    case DataPointType.SUM:
      return { ...metric, dataPoints: copyPoints(metric.dataPoints, (value) => value) };
    case DataPointType.HISTOGRAM:
      return { ...metric, dataPoints: copyPoints(metric.dataPoints, copyHistogram) };
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return { ...metric, dataPoints: copyPoints(metric.dataPoints, copyExponentialHistogram) };
  }
}

function copyPoints<T>(points: readonly DataPoint<T>[], copyValue: (value: T) => T): DataPoint<T>[] {
  return points.map(({ attributes, startTime, endTime, value }) => ({ attributes, startTime, endTime, value: copyValue(value) }));
}

export function copyHistogram(value: Histogram): Histogram {
  return { ...value, buckets: { boundaries: value.buckets.boundaries, counts: [...value.buckets.counts] } };
}

export function copyExponentialHistogram(value: ExponentialHistogram): ExponentialHistogram {
  const { count, sum, scale, zeroCount, positive, negative } = value;
  return {
    count,
    ...(sum === undefined ? {} : { sum }),
    ...(value.min === undefined ? {} : { min: value.min }),
    ...(value.max === undefined ? {} : { max: value.max }),
    scale,
    zeroCount,
    positive: { offset: positive.offset, bucketCounts: [...positive.bucketCounts] },
    negative: { offset: negative.offset, bucketCounts: [...negative.bucketCounts] },
  };
}

/** Data points of a batch. */
export function countPoints(resourceMetrics: readonly ResourceMetrics[]): number {
  let points = 0;
  for (const { scopeMetrics } of resourceMetrics) {
    for (const { metrics } of scopeMetrics) for (const metric of metrics) points += metric.dataPoints.length;
  }
  return points;
}
