import type { ExponentialHistogram, Histogram } from '@opentelemetry/sdk-metrics';

/** Cumulative counts at upper bounds; the count after the last bound is that of `+Inf`, which has no bound of its own. */
export interface ClassicBuckets {
  readonly boundaries: readonly number[];
  readonly cumulativeCounts: readonly number[];
}

/** The buckets of a classic Prometheus histogram. An exponential histogram has them where it keeps them, as ours do, or none. */
export function classicBuckets(value: Histogram | ExponentialHistogram): ClassicBuckets {
  if (hasClassicBuckets(value)) return value.classicBuckets();
  if ('scale' in value) return { boundaries: [], cumulativeCounts: [value.count] };
  let total = 0;
  const boundaries = value.buckets.boundaries.filter((bound) => bound !== Number.POSITIVE_INFINITY);
  const cumulativeCounts = value.buckets.counts.slice(0, boundaries.length).map((count) => (total += count));
  return { boundaries, cumulativeCounts: [...cumulativeCounts, value.count] };
}

/** True for a `PercentileHistogram`. */
function hasClassicBuckets(value: object): value is { classicBuckets(): ClassicBuckets } {
  return 'classicBuckets' in value && typeof value.classicBuckets === 'function';
}

/** The populated buckets of a Prometheus native histogram: runs of neighbours, and counts as differences to the bucket before. */
export interface NativeBuckets {
  readonly schema: number;
  readonly spans: readonly { readonly offset: number; readonly length: number }[];
  readonly deltas: readonly number[];
}

/** Resolutions that Prometheus has: bucket bounds are powers of 2^(2^-schema). */
const MAX_SCHEMA = 8;
const MIN_SCHEMA = -4;
/** Empty buckets written out rather than starting a new span, which costs more. */
const MAX_GAP = 2;

/** Values up to this are counted as zero: client_golang's `DefNativeHistogramZeroThreshold`, 2^-128. */
export const ZERO_THRESHOLD = 2 ** -128;

/**
 * OpenTelemetry's bucket `i` reaches from base^i to base^(i+1), Prometheus' from base^(i-1) to base^i; finer resolutions than
 * Prometheus has are merged. Undefined for coarser ones.
 */
export function nativeBuckets({ scale, positive }: Pick<ExponentialHistogram, 'scale' | 'positive'>): NativeBuckets | undefined {
  if (scale < MIN_SCHEMA) return undefined;
  const schema = Math.min(scale, MAX_SCHEMA);
  const merged = new Map<number, number>();
  for (const [position, count] of positive.bucketCounts.entries()) {
    if (count === 0) continue;
    const index = Math.floor((positive.offset + position) / 2 ** (scale - schema)) + 1;
    merged.set(index, (merged.get(index) ?? 0) + count);
  }
  return { schema, ...spansOf([...merged]) };
}

/** Buckets come in rising order. */
function spansOf(buckets: readonly (readonly [index: number, count: number])[]): Omit<NativeBuckets, 'schema'> {
  const spans: { offset: number; length: number }[] = [];
  const deltas: number[] = [];
  let next = 0;
  let before = 0;
  for (const [index, count] of buckets) {
    const gap = index - next;
    const span = spans.at(-1);
    if (span === undefined || gap > MAX_GAP) {
      spans.push({ offset: gap, length: 1 });
    } else {
      for (let empty = 0; empty < gap; empty += 1) {
        deltas.push(0 - before);
        before = 0;
      }
      span.length += gap + 1;
    }
    deltas.push(count - before);
    before = count;
    next = index + 1;
  }
  return { spans, deltas };
}
