/** The distribution of one period as neuron-monitor states it: how many executions, and seconds at fixed quantiles. */
export interface PercentileHistogramInput {
  readonly count: number;
  /** Quantile 0…1 → seconds. Rank rule of the source: `sorted[floor((count - 1) * quantile)]`. */
  readonly quantiles: ReadonlyMap<number, number>;
}

/** A value that the source states for a rank, which counts from 0, and how the samples up to the next stated rank are spread. */
interface Known {
  readonly rank: number;
  readonly value: number;
  /** Absent after the last one. */
  readonly stretch?: Stretch;
}

interface Stretch {
  /** Samples strictly between the two stated ones. */
  readonly between: number;
  readonly nextValue: number;
  /** Log-odds of the first rank, and how much they rise while the logarithm of the value rises by one. */
  readonly logOdds: number;
  readonly slope: number;
}

/** How finely the sum of the values between two known ranks is taken when there are more of them. */
const STRATA = 32;

/**
 * The samples behind one period's percentiles. What the percentiles say is exact: at each of their values it is known how many
 * samples are no greater. The samples between two of them are spread so that the logarithm of the value is linear in the log-odds of
 * the rank, as in a log-logistic distribution: docs/decisions/latency-histograms.md measures why.
 */
export class PercentileSamples {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly #known: readonly Known[];

  private constructor(count: number, stated: readonly [Stated, ...Stated[]]) {
    this.count = count;
    this.min = stated[0].value;
    this.max = stated.at(-1)?.value ?? this.min;
    this.#known = stated.map((low, index) => {
      const high = stated[index + 1];
      return high === undefined ? low : { ...low, stretch: stretchOf(low, high, count) };
    });
  }

  /** The samples, nothing when there are none, or why the period cannot be true. */
  static of({ count, quantiles }: PercentileHistogramInput): PercentileSamples | string | undefined {
    if (!Number.isSafeInteger(count) || count < 0) return 'the number of executions is not a whole number';
    if (count === 0) return quantiles.size === 0 ? undefined : 'there are percentiles without executions';
    const sorted = [...quantiles].toSorted(([a], [b]) => a - b);
    const stated: Stated[] = [];
    let previous = 0;
    for (const [quantile, value] of sorted) {
      if (!(quantile >= 0 && quantile <= 1)) return 'a quantile is not between 0 and 1';
      if (!Number.isFinite(value)) return 'a percentile is not a number';
      if (value < 0) return 'a percentile is negative';
      if (value < previous) return 'the percentiles are not in order';
      previous = value;
      const rank = rankOf(quantile, count);
      // Percentiles that share a rank share its value. Where they do not, the smaller quantile is the one nearer to the rank.
      if (stated.at(-1)?.rank !== rank) stated.push({ rank, value });
    }
    const [first, ...others] = stated;
    return first === undefined ? 'there are executions without percentiles' : new PercentileSamples(count, [first, ...others]);
  }

  /** How many samples are no greater than the bound. Exact at the values of the percentiles. */
  countUpTo(bound: number): number {
    const low = this.#known.findLast(({ value }) => value <= bound);
    if (low === undefined) return 0;
    if (low.stretch === undefined) return this.count;
    return low.rank + 1 + (low.stretch.between === 0 ? 0 : this.#spreadUpTo(bound, low, low.stretch));
  }

  /** The smallest sample above zero; undefined when all are zero. */
  smallestPositive(): number | undefined {
    const first = this.#known.find(({ value, stretch }) => value > 0 || (stretch !== undefined && stretch.nextValue > 0));
    if (first === undefined) return undefined;
    if (first.value > 0 || first.stretch === undefined) return first.value;
    return Math.max(Number.MIN_VALUE, this.#valueAt(first.rank + 1, first, first.stretch));
  }

  /** Sum of the samples: stated ones as they are, those between as they are spread. */
  sum(): number {
    let total = 0;
    for (const [index, low] of this.#known.entries()) {
      total += low.value;
      // Ranks that no percentile reaches have the value of the nearest one.
      if (index === 0) total += low.value * low.rank;
      total += low.stretch === undefined ? low.value * (this.count - 1 - low.rank) : this.#sumBetween(low, low.stretch);
    }
    return total;
  }

  /** How many of the samples of a stretch are no greater than a bound between its ends. */
  #spreadUpTo(bound: number, low: Known, { between, nextValue, logOdds, slope }: Stretch): number {
    // A logarithm cannot begin at zero: from there the values rise in equal steps.
    if (low.value === 0) return Math.min(between, Math.floor(((between + 1) * bound) / nextValue));
    const odds = Math.exp(logOdds + slope * logRatio(bound, low.value));
    const rank = Math.floor((this.count * odds) / (1 + odds) - 0.5);
    return Math.min(between, Math.max(0, rank - low.rank));
  }

  /** The inverse: the value at a rank of a stretch. */
  #valueAt(rank: number, low: Known, { between, nextValue, logOdds, slope }: Stretch): number {
    if (low.value === 0) return (nextValue * (rank - low.rank)) / (between + 1);
    const value = low.value * Math.exp((logOddsOf(rank, this.count) - logOdds) / slope);
    return Math.min(nextValue, Math.max(low.value, value));
  }

  #sumBetween(low: Known, stretch: Stretch): number {
    const { between, nextValue } = stretch;
    if (low.value === nextValue) return between * low.value;
    const strata = Math.min(between, STRATA);
    let total = 0;
    for (let stratum = 0; stratum < strata; stratum += 1) {
      const rank = low.rank + 0.5 + ((stratum + 0.5) * between) / strata;
      total += (this.#valueAt(rank, low, stretch) * between) / strata;
    }
    return total;
  }
}

type Stated = Omit<Known, 'stretch'>;

function stretchOf(low: Stated, high: Stated, count: number): Stretch {
  const logOdds = logOddsOf(low.rank, count);
  return {
    between: high.rank - low.rank - 1,
    nextValue: high.value,
    logOdds,
    slope: (logOddsOf(high.rank, count) - logOdds) / logRatio(high.value, low.value),
  };
}

/** A sample stands in the middle of its share of the distribution, so that the first and the last one have finite odds. */
function logOddsOf(rank: number, count: number): number {
  return Math.log((rank + 0.5) / (count - rank - 0.5));
}

/** Neighbouring numbers keep their distance in the quotient, numbers worlds apart only in the difference. */
function logRatio(a: number, b: number): number {
  const ratio = a / b;
  return Number.isFinite(ratio) ? Math.log(ratio) : Math.log(a) - Math.log(b);
}

/** The rank rule. A product that misses a whole number by rounding alone, such as 100 × 0.57, counts as that number. */
function rankOf(quantile: number, count: number): number {
  const exact = (count - 1) * quantile;
  const nearest = Math.round(exact);
  return Math.abs(exact - nearest) < 1e-9 * Math.max(1, nearest) ? nearest : Math.floor(exact);
}
