import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../simulator/random.ts';
import { CLASSIC_BOUNDARIES, MAX_BUCKETS, PercentileHistogram } from '../../src/percentile-histogram.ts';
import type { PercentileHistogramInput } from '../../src/percentile-histogram.ts';

/** neuron-monitor's quantiles. */
const QUANTILES = [0, 0.01, 0.25, 0.5, 0.75, 0.99, 1] as const;
const NUMBER_OF_FIELDS = 9;

/** What neuron-monitor would say about these samples. */
function percentilesOf(samples: readonly number[]): PercentileHistogramInput {
  const sorted = samples.toSorted((a, b) => a - b);
  const quantiles = QUANTILES.map((quantile) => [quantile, sorted[Math.floor((sorted.length - 1) * quantile)] ?? Number.NaN] as const);
  return { count: samples.length, quantiles: new Map(quantiles) };
}

function histogramOf(...periods: readonly PercentileHistogramInput[]): PercentileHistogram {
  const histogram = new PercentileHistogram();
  for (const period of periods) {
    const refused = histogram.add(period);
    if (refused !== undefined) throw new Error(refused);
  }
  return histogram;
}

/** Samples in the zero bucket and in buckets that end at or below a bound of a bucket. */
function countUpToBucket(histogram: PercentileHistogram, bucket: number): number {
  const { offset, bucketCounts } = histogram.positive;
  return histogram.zeroCount + bucketCounts.slice(0, Math.max(0, bucket - offset + 1)).reduce((total, count) => total + count, 0);
}

/** Bucket of a value at the histogram's scale; -Infinity for the zero bucket. */
function bucketOf(histogram: PercentileHistogram, value: number): number {
  return value === 0 ? Number.NEGATIVE_INFINITY : Math.ceil(Math.log2(value) * 2 ** histogram.scale) - 1;
}

/** The plain form of the rule: every sample has a value, and between stated ranks its logarithm is linear in the log-odds of the rank. */
function placedOneByOne({ count, quantiles }: PercentileHistogramInput): readonly number[] {
  const stated = new Map([...quantiles].map(([quantile, value]) => [Math.floor((count - 1) * quantile), value]));
  const ranks = [...stated.keys()].toSorted((a, b) => a - b);
  const logOdds = (rank: number): number => Math.log((rank + 0.5) / (count - rank - 0.5));
  return Array.from({ length: count }, (_, rank) => {
    const low = ranks.findLast((each) => each <= rank) ?? 0;
    const high = ranks.find((each) => each >= rank) ?? low;
    const [from, to] = [stated.get(low) ?? Number.NaN, stated.get(high) ?? Number.NaN];
    if (low === high || from === to) return from;
    if (from === 0) return (to * (rank - low)) / (high - low);
    const share = (logOdds(rank) - logOdds(low)) / (logOdds(high) - logOdds(low));
    return from * (to / from) ** share;
  });
}

/** Latencies as neuron-monitor has them: multiples of 2^-22 s, with ties, zeros and outliers. */
const latency = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 2 ** 22 }).map((ticks) => ticks / 2 ** 22) },
  { weight: 2, arbitrary: fc.constantFrom(0.001, 0.002, 2 ** -10, 1, 0) },
  { weight: 1, arbitrary: fc.double({ min: 1e-9, max: 1e5, noNaN: true }) },
);
const samples = fc.array(latency, { minLength: 1, maxLength: 300 });

/** A period of any size, given by its percentiles alone. */
const largePeriod = fc
  .tuple(fc.integer({ min: 1, max: 1_000_000 }), fc.array(latency, { minLength: QUANTILES.length, maxLength: QUANTILES.length }))
  .filter(([count]) => count > 200)
  .map(([count, values]): PercentileHistogramInput => {
    const sorted = values.toSorted((a, b) => a - b);
    return { count, quantiles: new Map(QUANTILES.map((quantile, index) => [quantile, sorted[index] ?? 0])) };
  });
const period = fc.oneof(samples.map(percentilesOf), largePeriod);

describe('properties', () => {
  it('count is exact, in every form', () => {
    fc.assert(
      fc.property(fc.array(period, { minLength: 1, maxLength: 5 }), (periods) => {
        const histogram = histogramOf(...periods);
        const count = periods.reduce((total, each) => total + each.count, 0);
        expect(histogram.count).toBe(count);
        expect(countUpToBucket(histogram, Number.POSITIVE_INFINITY)).toBe(count);
        expect(histogram.classicBuckets().cumulativeCounts.at(-1)).toBe(count);
      }),
    );
  });

  it('the buckets are those of samples placed one by one', () => {
    fc.assert(
      fc.property(samples, (values) => {
        const histogram = histogramOf(percentilesOf(values));
        const placed = placedOneByOne(percentilesOf(values)).map((value) => bucketOf(histogram, value));
        for (const [index] of histogram.positive.bucketCounts.entries()) {
          const bucket = histogram.positive.offset + index;
          // A sample that falls on the bound of a bucket may be on either side of it by rounding.
          expect(Math.abs(countUpToBucket(histogram, bucket) - placed.filter((each) => each <= bucket).length)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it('the sample at each rank that a percentile states is in the bucket of its value', () => {
    fc.assert(
      fc.property(period, ({ count, quantiles }) => {
        const histogram = histogramOf({ count, quantiles });
        for (const [quantile, value] of quantiles) {
          const rank = Math.floor((count - 1) * quantile);
          const bucket = bucketOf(histogram, value);
          expect(value === 0 ? 0 : countUpToBucket(histogram, bucket - 1)).toBeLessThanOrEqual(rank);
          expect(countUpToBucket(histogram, bucket)).toBeGreaterThan(rank);
        }
      }),
    );
  });

  it('classic counts rise with the boundaries, agree with the ranks, and never fall with time', () => {
    fc.assert(
      fc.property(fc.array(period, { minLength: 1, maxLength: 5 }), (periods) => {
        const histogram = new PercentileHistogram();
        let before: readonly number[] = Array.from({ length: CLASSIC_BOUNDARIES.length + 1 }, () => 0);
        for (const each of periods) {
          histogram.add(each);
          const { boundaries, cumulativeCounts } = histogram.classicBuckets();
          const now = [...cumulativeCounts];
          expect(now).toEqual(now.toSorted((a, b) => a - b));
          const added = now.map((count, index) => count - (before[index] ?? 0));
          expect(Math.min(...added)).toBeGreaterThanOrEqual(0);
          for (const [quantile, value] of each.quantiles) {
            const rank = Math.floor((each.count - 1) * quantile);
            for (const [index, boundary] of boundaries.entries()) {
              expect(value <= boundary ? (added[index] ?? 0) > rank : (added[index] ?? 0) <= rank).toBe(true);
            }
          }
          before = now;
        }
      }),
    );
  });

  it('the mean lies between minimum and maximum, which are those reported', () => {
    fc.assert(
      fc.property(fc.array(period, { minLength: 1, maxLength: 5 }), (periods) => {
        const { count, sum, min = Number.NaN, max = Number.NaN } = histogramOf(...periods);
        const values = periods.flatMap(({ quantiles }) => [...quantiles.values()]);
        expect(min).toEqual(Math.min(...values));
        expect(max).toEqual(Math.max(...values));
        expect(sum / count).toBeGreaterThanOrEqual(min * (1 - 1e-12));
        expect(sum / count).toBeLessThanOrEqual(max * (1 + 1e-12));
      }),
    );
  });

  it('merging gives the histogram of both, in any order', () => {
    const periods = fc.array(period, { maxLength: 4 });
    fc.assert(
      fc.property(periods, periods, (first, second) => {
        const together = histogramOf(...first, ...second);
        for (const [a, b] of [
          [first, second],
          [second, first],
        ]) {
          const merged = histogramOf(...(a ?? []));
          merged.merge(histogramOf(...(b ?? [])));
          const { sum, ...others } = plain(merged);
          const { sum: expectedSum, ...expected } = plain(together);
          expect(others).toEqual(expected);
          expect(sum).toBeCloseTo(expectedSum, 6);
        }
      }),
    );
  });

  it('there are at most 160 buckets, the first and the last of them in use', () => {
    fc.assert(
      fc.property(fc.array(period, { minLength: 1, maxLength: 5 }), (periods) => {
        const { scale, positive } = histogramOf(...periods);
        expect(positive.bucketCounts.length).toBeLessThanOrEqual(MAX_BUCKETS);
        expect(scale).toBeLessThanOrEqual(6);
        expect(positive.bucketCounts.every((count) => Number.isSafeInteger(count) && count >= 0)).toBe(true);
        expect(positive.bucketCounts.at(0)).not.toBe(0);
        expect(positive.bucketCounts.at(-1)).not.toBe(0);
      }),
    );
  });

  it('any numbers whatever are added or refused, and a refusal changes nothing', () => {
    const anyPeriod = fc.record({
      count: fc.oneof(fc.integer(), fc.double(), fc.maxSafeInteger(), fc.constantFrom(0, 1, 2)),
      quantiles: fc
        .array(
          fc.tuple(
            fc.oneof(fc.constantFrom(...QUANTILES), fc.double()),
            fc.oneof(fc.double(), fc.double({ min: 0 }), fc.constantFrom(0, 5e-324, 1.7e308)),
          ),
          { maxLength: 7 },
        )
        .map((pairs) => new Map(pairs)),
    });
    fc.assert(
      fc.property(period, anyPeriod, (good, any) => {
        const histogram = histogramOf(good);
        const before = structuredClone(plain(histogram));
        const refused = histogram.add(any);
        if (refused !== undefined) expect(plain(histogram)).toEqual(before);
        expect(countUpToBucket(histogram, Number.POSITIVE_INFINITY)).toBe(histogram.count);
        expect(histogram.positive.bucketCounts.length).toBeLessThanOrEqual(MAX_BUCKETS);
      }),
      { numRuns: 1_000 },
    );
  });
});

function plain(histogram: PercentileHistogram) {
  const { count, sum, min, max, scale, zeroCount, positive, negative } = histogram;
  return { count, sum, min, max, scale, zeroCount, positive, negative, classic: histogram.classicBuckets().cumulativeCounts };
}

/** As PromQL's `histogram_quantile` reads it: exponential interpolation within the bucket. */
function quantileOf(histogram: PercentileHistogram, quantile: number): number {
  const rank = quantile * histogram.count;
  let before = histogram.zeroCount;
  for (const [index, count] of histogram.positive.bucketCounts.entries()) {
    if (before + count >= rank) return 2 ** ((histogram.positive.offset + index + (rank - before) / count) * 2 ** -histogram.scale);
    before += count;
  }
  return Number.NaN;
}

describe('a fleet of which one host in ten is five times slower', () => {
  const random = new Random(2026, 'fleet');
  const hosts = Array.from({ length: 200 }, (_, host) =>
    Array.from({ length: 200 }, () => (host % 10 === 0 ? 0.025 : 0.005) * Math.exp(0.5 * random.normal())),
  );
  const truth = hosts.flat().toSorted((a, b) => a - b);
  const fleet = new PercentileHistogram();
  for (const ofHost of hosts) fleet.merge(histogramOf(percentilesOf(ofHost)));

  it.each([0.5, 0.9, 0.99, 0.999])('has a merged histogram whose quantile %s is within 8 percent of the truth', (quantile) => {
    const expected = truth[Math.ceil(truth.length * quantile) - 1] ?? Number.NaN;
    expect(Math.abs(quantileOf(fleet, quantile) / expected - 1)).toBeLessThan(0.08);
  });

  it('has an average of the hosts’ p99 that is wrong by more than 40 percent', () => {
    const mean = hosts.reduce((sum, ofHost) => sum + (percentilesOf(ofHost).quantiles.get(0.99) ?? Number.NaN), 0) / hosts.length;
    const expected = truth[Math.ceil(truth.length * 0.99) - 1] ?? Number.NaN;
    expect(mean / expected).toBeLessThan(0.6);
  });
});

describe('cases', () => {
  const seven = (values: readonly number[]) => new Map(QUANTILES.map((quantile, index) => [quantile, values[index] ?? Number.NaN]));
  const add = (count: number, quantiles: ReadonlyMap<number, number>): string | undefined =>
    new PercentileHistogram().add({ count, quantiles });

  it('a fresh histogram is empty, and has no minimum', () => {
    expect(plain(new PercentileHistogram())).toMatchObject({ count: 0, sum: 0, min: undefined, max: undefined, zeroCount: 0 });
    expect(Object.keys(plain(new PercentileHistogram()))).toHaveLength(NUMBER_OF_FIELDS);
  });

  it('a period in which nothing ran adds nothing', () => {
    const histogram = histogramOf({ count: 0, quantiles: new Map() });
    expect(plain(histogram)).toEqual(plain(new PercentileHistogram()));
  });

  it('one execution is in one bucket, with its value', () => {
    const histogram = histogramOf(percentilesOf([0.003]));
    expect(plain(histogram)).toMatchObject({ count: 1, sum: 0.003, min: 0.003, max: 0.003, scale: 6, positive: { bucketCounts: [1] } });
    expect(histogram.classicBuckets().cumulativeCounts.slice(7, 10)).toEqual([0, 1, 1]);
  });

  it('equal values are in one bucket', () => {
    const histogram = histogramOf(percentilesOf(Array.from({ length: 1_000 }, () => 0.25)));
    expect(plain(histogram)).toMatchObject({ count: 1_000, sum: 250, scale: 6, positive: { offset: -129, bucketCounts: [1_000] } });
  });

  it('numbers at the ends of what a double can hold', () => {
    const smallest = histogramOf({ count: 9, quantiles: seven([0, 0, 0, 5e-324, 5e-324, 5e-324, 5e-324]) });
    expect(smallest).toMatchObject({ count: 9, zeroCount: 3 });
    expect(countUpToBucket(smallest, Number.POSITIVE_INFINITY)).toBe(9);
    const widest = histogramOf({ count: 1_000, quantiles: seven([5e-324, 1e-300, 1, 1, 1, 1e300, 1.7e308]) });
    expect(widest.positive.bucketCounts.length).toBeLessThanOrEqual(MAX_BUCKETS);
    expect(countUpToBucket(widest, Number.POSITIVE_INFINITY)).toBe(1_000);
  });

  it('a value on the bound of a bucket belongs to the bucket below it, as OTLP says', () => {
    expect(histogramOf(percentilesOf([1])).positive).toEqual({ offset: -1, bucketCounts: [1] });
    expect(histogramOf(percentilesOf([1.0000001])).positive).toEqual({ offset: 0, bucketCounts: [1] });
    expect(histogramOf(percentilesOf([0.001])).classicBuckets().cumulativeCounts[CLASSIC_BOUNDARIES.indexOf(0.001)]).toBe(1);
  });

  it('zeros are in the zero bucket', () => {
    expect(plain(histogramOf(percentilesOf([0, 0, 0])))).toMatchObject({
      count: 3,
      sum: 0,
      zeroCount: 3,
      min: 0,
      max: 0,
      positive: { bucketCounts: [] },
    });
    const histogram = histogramOf(percentilesOf([0, ...Array.from({ length: 99 }, () => 0.01)]));
    expect(histogram).toMatchObject({ zeroCount: 1, min: 0, max: 0.01 });
    expect(countUpToBucket(histogram, bucketOf(histogram, 0.01))).toBe(100);
  });

  it('up to five samples of seven percentiles are known one by one', () => {
    fc.assert(
      fc.property(fc.array(latency, { minLength: 1, maxLength: 5 }), (values) => {
        const histogram = histogramOf(percentilesOf(values));
        const sorted = values.toSorted((a, b) => a - b);
        // Ranks 0, 1, 2, 3 and n-1 are reported whatever n is.
        expect(histogram.sum).toBeCloseTo(
          sorted.reduce((total, value) => total + value, 0),
          9,
        );
        expect(histogram.classicBuckets().cumulativeCounts).toEqual([
          ...CLASSIC_BOUNDARIES.map((boundary) => values.filter((value) => value <= boundary).length),
          values.length,
        ]);
      }),
    );
  });

  it('a real record: 816 executions on trn1', () => {
    const quantiles = seven([0.0013, 0.0013, 0.00131, 0.00132, 0.00133, 0.0015, 0.0021]);
    const histogram = histogramOf({ count: 816, quantiles });
    expect(histogram.scale).toBe(6);
    expect(histogram.sum / 816).toBeGreaterThan(0.0013);
    expect(histogram.sum / 816).toBeLessThan(0.00135);
  });

  it('values of different size fall into wider buckets', () => {
    const histogram = histogramOf(percentilesOf([1e-5, 1e-3, 1e-1, 10, 1000]));
    expect(histogram.scale).toBe(2);
    expect(histogram.positive.bucketCounts.reduce((total, count) => total + count, 0)).toBe(5);
  });

  it('percentiles that share a rank but not a value: the count stays exact', () => {
    const histogram = histogramOf({ count: 1, quantiles: seven([0.001, 0.001, 0.002, 0.002, 0.003, 0.004, 0.005]) });
    expect(plain(histogram)).toMatchObject({ count: 1, min: 0.001, max: 0.001, positive: { bucketCounts: [1] } });
  });

  it('fewer percentiles than usual are enough', () => {
    const histogram = histogramOf({ count: 100, quantiles: new Map([[0.5, 0.002]]) });
    expect(plain(histogram)).toMatchObject({ count: 100, min: 0.002, max: 0.002 });
    expect(histogram.sum).toBeCloseTo(0.2, 12);
  });

  it('percentiles are taken in any order of quantiles', () => {
    const quantiles = new Map([...percentilesOf([1, 2, 3, 4]).quantiles].toReversed());
    expect(plain(histogramOf({ count: 4, quantiles }))).toEqual(plain(histogramOf(percentilesOf([1, 2, 3, 4]))));
  });

  it.each([
    ['executions without values', 5, new Map<number, number>(), /executions without percentiles/],
    ['a negative count', -1, seven([1, 1, 1, 1, 1, 1, 1]), /not a whole number/],
    ['half an execution', 1.5, seven([1, 1, 1, 1, 1, 1, 1]), /not a whole number/],
    ['a count that is no number', Number.NaN, seven([1, 1, 1, 1, 1, 1, 1]), /not a whole number/],
    ['a count beyond what is exact', 2 ** 53, seven([1, 1, 1, 1, 1, 1, 1]), /not a whole number/],
    ['values out of order', 9, seven([1, 2, 3, 2.9, 4, 5, 6]), /not in order/],
    ['a negative value', 9, seven([-1, 2, 3, 3, 4, 5, 6]), /negative/],
    ['a value that is no number', 9, seven([1, 2, 3, Number.NaN, 4, 5, 6]), /not a number/],
    ['an infinite value', 9, seven([1, 2, 3, 3, 4, 5, Number.POSITIVE_INFINITY]), /not a number/],
    ['a quantile above one', 9, new Map([[50, 1]]), /not between 0 and 1/],
    ['a quantile that is no number', 9, new Map([[Number.NaN, 1]]), /not between 0 and 1/],
  ])('%s is refused', (_, count, quantiles, reason) => {
    expect(add(count, quantiles)).toMatch(reason);
  });

  it.each([seven([1, 1, 1, 1, 1, 1, 1]), new Map([[0.5, 3]]), seven([9, 8, 7, 6, 5, 4, 3])])(
    'percentiles without executions are those of an earlier period: they add nothing and are no fault',
    (quantiles) => {
      const histogram = histogramOf(percentilesOf([1, 2, 3, 4]));
      const before = plain(histogram);
      expect(histogram.add({ count: 0, quantiles })).toBeUndefined();
      expect(plain(histogram)).toEqual(before);
    },
  );

  it('a count that would no longer be exact is refused', () => {
    const histogram = histogramOf({ count: Number.MAX_SAFE_INTEGER, quantiles: new Map([[1, 1]]) });
    expect(histogram.add({ count: 1, quantiles: new Map([[1, 1]]) })).toMatch(/passes what can be counted/);
    expect(histogram.count).toBe(Number.MAX_SAFE_INTEGER);
  });
});
