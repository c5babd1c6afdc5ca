import type { ExponentialHistogram } from '@opentelemetry/sdk-metrics';

/** The distribution of one period as neuron-monitor states it: how many executions, and seconds at fixed quantiles. */
export interface PercentileHistogramInput {
  readonly count: number;
  /** Quantile 0…1 → seconds. Rank rule of the source: `sorted[floor((count - 1) * quantile)]`. */
  readonly quantiles: ReadonlyMap<number, number>;
}

/** Cumulative histogram fed by percentiles. STUB: replaced by the real module. */
export class PercentileHistogram implements ExponentialHistogram {
  count = 0;
  sum = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  scale = 5;
  zeroCount = 0;
  positive = { offset: 0, bucketCounts: [] as number[] };
  negative = { offset: 0, bucketCounts: [] as number[] };

  /** Adds one period; returns why it was refused, or undefined when it was added. */
  add(_period: PercentileHistogramInput): string | undefined {
    return undefined;
  }

  /** Cumulative counts at the classic boundaries (seconds), for Prometheus; the last one is +Inf. */
  classicBuckets(): { readonly boundaries: readonly number[]; readonly cumulativeCounts: readonly number[] } {
    return { boundaries: [], cumulativeCounts: [this.count] };
  }
}
