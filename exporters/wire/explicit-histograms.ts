import { DataPointType } from '@opentelemetry/sdk-metrics';
import type {
  DataPoint,
  ExponentialHistogram,
  Histogram,
  HistogramMetricData,
  MetricData,
  ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import { PercentileHistogram } from '../../src/percentile-histogram.ts';
import { remember } from './remember.ts';

/** Gives receivers that know no exponential histograms the classic buckets of the same state. */
export class ExplicitHistograms {
  /** Converted metric data of each source; encoders cache by it. */
  readonly #converted = new WeakMap<MetricData, HistogramMetricData>();

  /** The same batch; histograms that were not made from percentiles stay as they are. */
  convert(resourceMetrics: readonly ResourceMetrics[]): ResourceMetrics[] {
    return resourceMetrics.map(({ resource, scopeMetrics }) => ({
      resource,
      scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({ scope, metrics: metrics.map((metric) => this.#metric(metric)) })),
    }));
  }

  #metric(metric: MetricData): MetricData {
    if (metric.dataPointType !== DataPointType.EXPONENTIAL_HISTOGRAM) return metric;
    const points = metric.dataPoints.map(explicitPoint).filter((point) => point !== undefined);
    if (points.length < metric.dataPoints.length) return metric;
    const converted = remember(this.#converted, metric, () => ({
      ...metric,
      dataPointType: DataPointType.HISTOGRAM as const,
      dataPoints: [],
    }));
    converted.dataPoints.splice(0, Infinity, ...points);
    return converted;
  }
}

function explicitPoint(point: DataPoint<ExponentialHistogram>): DataPoint<Histogram> | undefined {
  const { attributes, startTime, endTime, value } = point;
  if (!(value instanceof PercentileHistogram)) return undefined;
  const { boundaries, cumulativeCounts } = value.classicBuckets();
  const counts = cumulativeCounts.map((count, index) => count - (cumulativeCounts[index - 1] ?? 0));
  const { count, sum, min, max } = value;
  return {
    attributes,
    startTime,
    endTime,
    value: {
      buckets: { boundaries: [...boundaries], counts },
      count,
      sum,
      ...(min === undefined || max === undefined ? {} : { min, max }),
    },
  };
}
