/** The distribution of one period as neuron-monitor states it: how many executions, and seconds at fixed quantiles. */
export interface PercentileHistogramInput {
  readonly count: number;
  /** Quantile 0…1 → seconds. Rank rule of the source: `sorted[floor((count - 1) * quantile)]`. */
  readonly quantiles: ReadonlyMap<number, number>;
}

/** An order statistic that the source states: the value at a rank, which counts from 0. */
interface Known {
  readonly rank: number;
  readonly value: number;
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

  private constructor(count: number, known: readonly [Known, ...Known[]]) {
    this.count = count;
    this.min = known[0].value;
    this.max = known.at(-1)?.value ?? this.min;
    this.#known = known;
  }

  /** The samples, nothing when there are none, or why the period cannot be true. */
  static of({ count, quantiles }: PercentileHistogramInput): PercentileSamples | string | undefined {
    if (!Number.isSafeInteger(count) || count < 0) return 'the number of executions is not a whole number';
    if (count === 0) return quantiles.size === 0 ? undefined : 'there are percentiles without executions';
    const sorted = [...quantiles].toSorted(([a], [b]) => a - b);
    const known: Known[] = [];
    let previous = 0;
    for (const [quantile, value] of sorted) {
      if (!(quantile >= 0 && quantile <= 1)) return 'a quantile is not between 0 and 1';
      if (!Number.isFinite(value)) return 'a percentile is not a number';
      if (value < 0) return 'a percentile is negative';
      if (value < previous) return 'the percentiles are not in order';
      previous = value;
      const rank = rankOf(quantile, count);
      // Percentiles that share a rank share its value. Where they do not, the smaller quantile is the one nearer to the rank.
      if (known.at(-1)?.rank !== rank) known.push({ rank, value });
    }
    const [first, ...others] = known;
    return first === undefined ? 'there are executions without percentiles' : new PercentileSamples(count, [first, ...others]);
  }

  /** How many samples are no greater than the bound. Exact at the values of the percentiles; never falls while the bound rises. */
  countUpTo(bound: number): number {
    const known = this.#known;
    let at = -1;
    while (at + 1 < known.length && (known[at + 1]?.value ?? Number.NaN) <= bound) at += 1;
    const low = known[at];
    if (low === undefined) return 0;
    const high = known[at + 1];
    if (high === undefined) return this.count;
    const between = high.rank - low.rank - 1;
    return low.rank + 1 + (between === 0 ? 0 : Math.min(between, this.#spreadUpTo(bound, low, high)));
  }

  /** The smallest sample above zero; undefined when all are zero. */
  smallestPositive(): number | undefined {
    const index = this.#known.findIndex(({ value }) => value > 0);
    const high = this.#known[index];
    const low = this.#known[index - 1];
    return high === undefined || low === undefined ? high?.value : this.#valueAt(low.rank + 1, low, high);
  }

  /** Sum of the samples: stated ones as they are, those between as they are spread. */
  sum(): number {
    const known = this.#known;
    let total = 0;
    for (const [index, low] of known.entries()) {
      total += low.value;
      const high = known[index + 1];
      // Ranks that no percentile reaches have the value of the nearest one.
      if (index === 0) total += low.value * low.rank;
      if (high === undefined) total += low.value * (this.count - 1 - low.rank);
      else total += this.#sumBetween(low, high);
    }
    return total;
  }

  /** How many of the samples strictly between two known ranks are no greater than a bound between their values. */
  #spreadUpTo(bound: number, low: Known, high: Known): number {
    // A logarithm cannot begin at zero: from there the values rise in equal steps.
    if (low.value === 0) return Math.floor(((high.rank - low.rank) * bound) / high.value);
    const share = logRatio(bound, low.value) / logRatio(high.value, low.value);
    const from = this.#logOdds(low.rank);
    const odds = Math.exp(from + share * (this.#logOdds(high.rank) - from));
    const rank = (this.count * odds) / (1 + odds) - 0.5;
    return Math.max(0, Math.floor(rank) - low.rank);
  }

  /** The inverse: the value at a rank between two known ones. */
  #valueAt(rank: number, low: Known, high: Known): number {
    if (low.value === 0) return (high.value * (rank - low.rank)) / (high.rank - low.rank);
    const from = this.#logOdds(low.rank);
    const share = (this.#logOdds(rank) - from) / (this.#logOdds(high.rank) - from);
    return Math.min(high.value, Math.max(low.value, low.value * Math.exp(share * logRatio(high.value, low.value))));
  }

  #sumBetween(low: Known, high: Known): number {
    const between = high.rank - low.rank - 1;
    if (low.value === high.value) return between * low.value;
    const strata = Math.min(between, STRATA);
    let total = 0;
    for (let stratum = 0; stratum < strata; stratum += 1) {
      const rank = low.rank + 0.5 + ((stratum + 0.5) * between) / strata;
      total += (this.#valueAt(rank, low, high) * between) / strata;
    }
    return total;
  }

  /** A sample stands in the middle of its share of the distribution, so that the first and the last one have finite odds. */
  #logOdds(rank: number): number {
    return Math.log((rank + 0.5) / (this.count - rank - 0.5));
  }
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
