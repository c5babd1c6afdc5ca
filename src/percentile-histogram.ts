import type { ExponentialHistogram } from '@opentelemetry/sdk-metrics';
import { PercentileSamples } from './percentile-samples.ts';
import type { PercentileHistogramInput } from './percentile-samples.ts';

export type { PercentileHistogramInput } from './percentile-samples.ts';

/** A bucket is 1.09 % wide, so the middle of one is at most 0.55 % away from anything in it. */
const MAX_SCALE = 6;
export const MAX_BUCKETS = 160;

/** 10 µs to 1000 s, three to a decade. */
export const CLASSIC_BOUNDARIES: readonly number[] = [
  1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000,
];

type Buckets = ExponentialHistogram['positive'];

/**
 * Cumulative histogram of latencies, fed by the percentiles and the count of each period (see `PercentileSamples` for what is exact
 * and what is spread). Exponential buckets of at most 1.1 % width while 160 of them suffice, which they do for values within a factor
 * of 5.6; beyond that their width doubles as often as needed. Histograms of any scale can be merged, and the order does not matter.
 *
 * The fields are those of the SDK's exponential histogram and change with each period; only this class writes them.
 */
export class PercentileHistogram implements ExponentialHistogram {
  count = 0;
  sum = 0;
  /** Absent until something was added. */
  min?: number;
  max?: number;
  scale = MAX_SCALE;
  zeroCount = 0;
  readonly positive: Buckets = { offset: 0, bucketCounts: [] };
  readonly negative: Buckets = { offset: 0, bucketCounts: [] };
  /**
   * Kept beside the exponential buckets and not derived from them: when those get wider, a boundary inside one would be estimated
   * anew, and a count that falls is a reset to Prometheus.
   */
  readonly #cumulativeCounts: number[] = Array.from({ length: CLASSIC_BOUNDARIES.length + 1 }, () => 0);

  /** Samples of the period that is being added. */
  readonly #samples = new PercentileSamples();

  /** Range of everything positive so far, as buckets of the finest scale: it alone decides the scale. */
  #lowest = Number.POSITIVE_INFINITY;
  #highest = Number.NEGATIVE_INFINITY;

  /** Adds one period; returns why it was refused, or undefined when it was added. No executions and no percentiles add nothing. */
  add(period: PercentileHistogramInput): string | undefined {
    const samples = this.#samples;
    const refused = samples.take(period);
    if (refused !== undefined || samples.count === 0) return refused;
    if (!Number.isSafeInteger(this.count + samples.count)) return 'the number of executions passes what can be counted';
    const sum = samples.sum();
    if (!Number.isFinite(this.sum + sum)) return 'the sum of the latencies passes what can be counted';
    this.#addTotals(samples.count, sum, samples.min, samples.max);
    const zeros = samples.countUpTo(0);
    this.zeroCount += zeros;
    const smallest = samples.smallestPositive();
    if (smallest !== undefined) {
      const [lowest, highest] = [fineBucket(smallest), fineBucket(samples.max)];
      this.#cover(lowest, highest);
      this.#addPositive(samples, lowest, highest, zeros);
    }
    let upTo = 0;
    let index = 0;
    for (const boundary of CLASSIC_BOUNDARIES) {
      upTo = Math.max(upTo, samples.countUpTo(boundary));
      this.#addClassic(index, upTo);
      index += 1;
    }
    this.#addClassic(CLASSIC_BOUNDARIES.length, samples.count);
    return undefined;
  }

  /** Adds everything another histogram has counted. */
  merge(other: PercentileHistogram): void {
    if (other.min === undefined || other.max === undefined) return;
    this.#addTotals(other.count, other.sum, other.min, other.max);
    this.zeroCount += other.zeroCount;
    this.#cover(other.#lowest, other.#highest);
    const { offset, bucketCounts } = other.positive;
    for (const [index, count] of bucketCounts.entries()) {
      if (count > 0) this.#addBucket((offset + index) >> (other.scale - this.scale), count);
    }
    for (const [index, count] of other.#cumulativeCounts.entries()) this.#addClassic(index, count);
  }

  /** Cumulative counts at the classic boundaries (seconds), for Prometheus; the last one is +Inf. */
  classicBuckets(): { readonly boundaries: readonly number[]; readonly cumulativeCounts: readonly number[] } {
    return { boundaries: CLASSIC_BOUNDARIES, cumulativeCounts: this.#cumulativeCounts };
  }

  #addTotals(count: number, sum: number, min: number, max: number): void {
    this.count += count;
    this.sum += sum;
    this.min = Math.min(this.min ?? min, min);
    this.max = Math.max(this.max ?? max, max);
  }

  /** Makes buckets as wide as it takes to hold this range too. */
  #cover(lowest: number, highest: number): void {
    if (lowest > highest) return;
    this.#lowest = Math.min(this.#lowest, lowest);
    this.#highest = Math.max(this.#highest, highest);
    let shift = MAX_SCALE - this.scale;
    while ((this.#highest >> shift) - (this.#lowest >> shift) >= MAX_BUCKETS) shift += 1;
    this.#coarsen(shift - (MAX_SCALE - this.scale));
  }

  /** Folds each run of 2^steps buckets into one. */
  #coarsen(steps: number): void {
    if (steps === 0) return;
    const { offset, bucketCounts } = this.positive;
    const before = bucketCounts.splice(0);
    this.positive.offset = 0;
    this.scale -= steps;
    for (const [index, count] of before.entries()) if (count > 0) this.#addBucket((offset + index) >> steps, count);
  }

  #addPositive(samples: PercentileSamples, lowest: number, highest: number, zeros: number): void {
    const shift = MAX_SCALE - this.scale;
    let counted = zeros;
    for (let bucket = lowest >> shift; bucket <= highest >> shift; bucket += 1) {
      const upTo = samples.countUpTo(upperBound(((bucket + 1) << shift) - 1));
      if (upTo <= counted) continue;
      this.#addBucket(bucket, upTo - counted);
      counted = upTo;
    }
  }

  #addBucket(bucket: number, count: number): void {
    const { positive } = this;
    const { bucketCounts } = positive;
    if (bucketCounts.length === 0) positive.offset = bucket;
    while (positive.offset > bucket) {
      bucketCounts.unshift(0);
      positive.offset -= 1;
    }
    const at = bucket - positive.offset;
    while (bucketCounts.length <= at) bucketCounts.push(0);
    bucketCounts[at] = (bucketCounts[at] ?? 0) + count;
  }

  #addClassic(index: number, count: number): void {
    this.#cumulativeCounts[index] = (this.#cumulativeCounts[index] ?? 0) + count;
  }
}

/** Upper bound, included, of a bucket of the finest scale. */
function upperBound(bucket: number): number {
  return 2 ** ((bucket + 1) / 2 ** MAX_SCALE);
}

/** Bucket of the finest scale that holds a positive value. Agrees with `upperBound` where the logarithm alone would be off by one. */
function fineBucket(value: number): number {
  let bucket = Math.ceil(Math.log2(value) * 2 ** MAX_SCALE) - 1;
  while (upperBound(bucket) < value) bucket += 1;
  while (upperBound(bucket - 1) >= value) bucket -= 1;
  return bucket;
}
