import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** A function from the points of a metric to other points of the same type. */
export type ChangePoints = <T>(points: readonly DataPoint<T>[]) => DataPoint<T>[];

/** The same metric with other points. */
export function withPoints(metric: MetricData, change: ChangePoints): MetricData {
  switch (metric.dataPointType) {
    case DataPointType.GAUGE:
    case DataPointType.SUM:
      return { ...metric, dataPoints: change(metric.dataPoints) };
    case DataPointType.HISTOGRAM:
      return { ...metric, dataPoints: change(metric.dataPoints) };
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return { ...metric, dataPoints: change(metric.dataPoints) };
  }
}

/** Points `from` to `to` (exclusive) of a collection, counted from its first one, with the envelopes that they need. */
export function slicePoints(resourceMetrics: readonly ResourceMetrics[], from: number, to: number): ResourceMetrics[] {
  let at = 0;
  const slice: ChangePoints = (points) => {
    const start = at;
    at += points.length;
    return points.slice(Math.max(0, from - start), Math.max(0, to - start));
  };
  return resourceMetrics
    .map(({ resource, scopeMetrics }) => ({
      resource,
      scopeMetrics: scopeMetrics
        .map(({ scope, metrics }) => ({
          scope,
          metrics: metrics.map((metric) => withPoints(metric, slice)).filter(({ dataPoints }) => dataPoints.length > 0),
        }))
        .filter(({ metrics }) => metrics.length > 0),
    }))
    .filter(({ scopeMetrics }) => scopeMetrics.length > 0);
}
