import type { ExponentialHistogram, Histogram } from '@opentelemetry/sdk-metrics';

type Buckets = ExponentialHistogram['positive'];

/**
 * What was added since `before`, or undefined when `now` does not continue it. Minimum and maximum of the interval are
 * unknown, and left out.
 */
export function subtractHistogram(now: Histogram, before: Histogram): Histogram | undefined {
  const { boundaries, counts } = now.buckets;
  const isSameShape =
    counts.length === before.buckets.counts.length &&
    boundaries.length === before.buckets.boundaries.length &&
    boundaries.every((boundary, index) => boundary === before.buckets.boundaries[index]);
  if (!isSameShape || now.count < before.count) return undefined;
  const difference = counts.map((count, index) => count - (before.buckets.counts[index] ?? 0));
  if (difference.some((count) => count < 0)) return undefined;
  return { buckets: { boundaries, counts: difference }, count: now.count - before.count, ...subtractSum(now.sum, before.sum) };
}

/** As `subtractHistogram`; a scale that fell in between is followed, since merging buckets loses nothing but resolution. */
export function subtractExponential(now: ExponentialHistogram, before: ExponentialHistogram): ExponentialHistogram | undefined {
  const shift = before.scale - now.scale;
  if (shift < 0 || now.count < before.count || now.zeroCount < before.zeroCount) return undefined;
  const positive = subtractBuckets(now.positive, before.positive, shift);
  const negative = subtractBuckets(now.negative, before.negative, shift);
  if (positive === undefined || negative === undefined) return undefined;
  return {
    count: now.count - before.count,
    ...subtractSum(now.sum, before.sum),
    scale: now.scale,
    zeroCount: now.zeroCount - before.zeroCount,
    positive,
    negative,
  };
}

function subtractSum(now: number | undefined, before: number | undefined): { sum?: number } {
  return now === undefined || before === undefined ? {} : { sum: now - before };
}

function subtractBuckets(now: Buckets, before: Buckets, shift: number): Buckets | undefined {
  const counts = [...now.bucketCounts];
  for (const [index, count] of before.bucketCounts.entries()) {
    if (count === 0) continue;
    const at = ((before.offset + index) >> shift) - now.offset;
    const left = (counts[at] ?? 0) - count;
    if (left < 0) return undefined;
    counts[at] = left;
  }
  const first = counts.findIndex((count) => count > 0);
  if (first < 0) return { offset: 0, bucketCounts: [] };
  return { offset: now.offset + first, bucketCounts: counts.slice(first, counts.findLastIndex((count) => count > 0) + 1) };
}
