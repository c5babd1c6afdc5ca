/** The distribution of one period as neuron-monitor states it: how many executions, and seconds at fixed quantiles. */
export interface PercentileHistogramInput {
  readonly count: number;
  /** Quantile 0…1 → seconds. Rank rule of the source: `sorted[floor((count - 1) * quantile)]`. */
  readonly quantiles: ReadonlyMap<number, number>;
}

/** How finely the sum of the values between two known ranks is taken when there are more of them. */
const STRATA = 32;
/** neuron-monitor states seven percentiles. */
const USUAL_PERCENTILES = 7;

/**
 * The samples behind one period's percentiles. The percentiles are exact: at each of their values it is known how many
 * samples are no greater. The samples between two of them are spread so that the logarithm of the value is linear in the log-odds of
 * the rank, as in a log-logistic distribution: docs/decisions/latency-histograms.md measures why.
 *
 * Lives as long as the histogram it feeds, and holds plain numbers: with objects made for each period, V8 throws away the machine code
 * of these loops whenever it has collected the last of them.
 */
export class PercentileSamples {
  /** Zero when there are no samples: nothing else means anything then. */
  count = 0;
  /** Values that the source states, ascending, one for each rank. Ranks count from 0. */
  #size = 0;
  #quantiles = new Float64Array(USUAL_PERCENTILES);
  #values = new Float64Array(USUAL_PERCENTILES);
  #ranks = new Float64Array(USUAL_PERCENTILES);
  /** Log-odds of each rank, and how much they rise on the way to the next one while the logarithm of the value rises by one. */
  #logOdds = new Float64Array(USUAL_PERCENTILES);
  #slopes = new Float64Array(USUAL_PERCENTILES);

  get min(): number {
    return at(this.#values, 0);
  }

  get max(): number {
    return at(this.#values, this.#size - 1);
  }

  /** Takes the samples of one period in place of those before; returns why the period cannot be true, or undefined. */
  take({ count, quantiles }: PercentileHistogramInput): string | undefined {
    this.count = 0;
    if (!Number.isSafeInteger(count) || count < 0) return 'the number of executions is not a whole number';
    // neuron-monitor repeats the percentiles of an earlier period when nothing has run since.
    if (count === 0) return undefined;
    if (quantiles.size === 0) return 'there are executions without percentiles';
    this.#sort(quantiles);
    const refused = this.#check();
    if (refused !== undefined) return refused;
    this.count = count;
    this.#rank();
    this.#spread();
    return undefined;
  }

  /** How many samples are no greater than the bound. Exact at the values of the percentiles. */
  countUpTo(bound: number): number {
    let low = this.#size - 1;
    while (low >= 0 && at(this.#values, low) > bound) low -= 1;
    if (low < 0) return 0;
    if (low === this.#size - 1) return this.count;
    return at(this.#ranks, low) + 1 + this.#spreadUpTo(bound, low);
  }

  /** The smallest sample above zero; undefined when all are zero. */
  smallestPositive(): number | undefined {
    for (let low = 0; low < this.#size; low += 1) {
      const value = at(this.#values, low);
      if (value > 0) return value;
      if (low + 1 < this.#size && at(this.#values, low + 1) > 0) {
        return Math.max(Number.MIN_VALUE, this.#valueAt(at(this.#ranks, low) + 1, low));
      }
    }
    return undefined;
  }

  /** Returns the sum of the samples: stated ones as they are, the others as they are spread. */
  sum(): number {
    let total = 0;
    for (let low = 0; low < this.#size; low += 1) {
      const value = at(this.#values, low);
      total += value;
      // Ranks that no percentile reaches have the value of the nearest one.
      if (low === 0) total += value * at(this.#ranks, low);
      total += low === this.#size - 1 ? value * (this.count - 1 - at(this.#ranks, low)) : this.#sumBetween(low);
    }
    return total;
  }

  /** By quantile: nearly always they come in that order. */
  #sort(quantiles: ReadonlyMap<number, number>): void {
    if (quantiles.size > this.#quantiles.length) this.#grow(quantiles.size);
    let size = 0;
    for (const [quantile, value] of quantiles) {
      let index = size;
      for (; index > 0 && at(this.#quantiles, index - 1) > quantile; index -= 1) {
        this.#quantiles[index] = at(this.#quantiles, index - 1);
        this.#values[index] = at(this.#values, index - 1);
      }
      this.#quantiles[index] = quantile;
      this.#values[index] = value;
      size += 1;
    }
    this.#size = size;
  }

  #grow(size: number): void {
    this.#quantiles = new Float64Array(size);
    this.#values = new Float64Array(size);
    this.#ranks = new Float64Array(size);
    this.#logOdds = new Float64Array(size);
    this.#slopes = new Float64Array(size);
  }

  #check(): string | undefined {
    let previous = 0;
    for (let index = 0; index < this.#size; index += 1) {
      const quantile = at(this.#quantiles, index);
      const value = at(this.#values, index);
      if (!(quantile >= 0 && quantile <= 1)) return 'a quantile is not between 0 and 1';
      if (!Number.isFinite(value)) return 'a percentile is not a number';
      if (value < 0) return 'a percentile is negative';
      if (value < previous) return 'the percentiles are not in order';
      previous = value;
    }
    return undefined;
  }

  /** Percentiles that share a rank share its value. Where they do not, the smaller quantile is the one nearer to the rank. */
  #rank(): void {
    let size = 0;
    for (let index = 0; index < this.#size; index += 1) {
      const rank = rankOf(at(this.#quantiles, index), this.count);
      if (size > 0 && at(this.#ranks, size - 1) === rank) continue;
      this.#ranks[size] = rank;
      this.#values[size] = at(this.#values, index);
      size += 1;
    }
    this.#size = size;
  }

  #spread(): void {
    for (let low = 0; low < this.#size; low += 1) this.#logOdds[low] = logOddsOf(at(this.#ranks, low), this.count);
    for (let low = 0; low + 1 < this.#size; low += 1) {
      const rise = at(this.#logOdds, low + 1) - at(this.#logOdds, low);
      this.#slopes[low] = rise / logRatio(at(this.#values, low + 1), at(this.#values, low));
    }
  }

  /** Samples strictly between a stated one and the next. */
  #between(low: number): number {
    return at(this.#ranks, low + 1) - at(this.#ranks, low) - 1;
  }

  /** How many of the samples between a stated one and the next are no greater than a bound between their values. */
  #spreadUpTo(bound: number, low: number): number {
    const between = this.#between(low);
    if (between === 0) return 0;
    const value = at(this.#values, low);
    // A logarithm cannot begin at zero: from there the values rise in equal steps.
    if (value === 0) return Math.min(between, Math.floor(((between + 1) * bound) / at(this.#values, low + 1)));
    const odds = Math.exp(at(this.#logOdds, low) + at(this.#slopes, low) * logRatio(bound, value));
    const rank = Math.floor((this.count * odds) / (1 + odds) - 0.5);
    return Math.min(between, Math.max(0, rank - at(this.#ranks, low)));
  }

  /** The inverse: the value at a rank between a stated one and the next. */
  #valueAt(rank: number, low: number): number {
    const value = at(this.#values, low);
    const nextValue = at(this.#values, low + 1);
    if (value === 0) return (nextValue * (rank - at(this.#ranks, low))) / (this.#between(low) + 1);
    const spread = value * Math.exp((logOddsOf(rank, this.count) - at(this.#logOdds, low)) / at(this.#slopes, low));
    return Math.min(nextValue, Math.max(value, spread));
  }

  #sumBetween(low: number): number {
    const between = this.#between(low);
    const value = at(this.#values, low);
    if (value === at(this.#values, low + 1)) return between * value;
    const strata = Math.min(between, STRATA);
    const first = at(this.#ranks, low) + 0.5;
    let total = 0;
    for (let stratum = 0; stratum < strata; stratum += 1) {
      total += (this.#valueAt(first + ((stratum + 0.5) * between) / strata, low) * between) / strata;
    }
    return total;
  }
}

/** Returns an element that is there. */
function at(numbers: Float64Array, index: number): number {
  return numbers[index] ?? Number.NaN;
}

/** A sample is in the middle of its share of the distribution, so that the first and the last one have finite odds. */
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
