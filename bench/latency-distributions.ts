import type { Random } from '../simulator/random.ts';

/** A latency distribution whose truth is known, in seconds. */
export interface Distribution {
  readonly name: string;
  draw(random: Random): number;
  /** Share of executions that take no longer. */
  cdf(seconds: number): number;
  /** The inverse of `cdf`. */
  quantile(share: number): number;
}

const UNIFORM: Distribution = {
  name: 'uniform',
  draw: (random) => 0.001 + 0.009 * random.next(),
  cdf: (x) => Math.min(1, Math.max(0, (x - 0.001) / 0.009)),
  quantile: (share) => 0.001 + 0.009 * share,
};

const LOGNORMAL: Distribution = {
  name: 'lognormal',
  draw: (random) => 0.005 * Math.exp(0.5 * random.normal()),
  cdf: (x) => normalCdf(Math.log(x / 0.005) / 0.5),
  quantile: (share) => 0.005 * Math.exp(0.5 * normalQuantile(share)),
};

/** Four of five executions take about 1 ms, the fifth about 20 ms: two models behind one endpoint. */
const BIMODAL: Distribution = {
  name: 'bimodal',
  draw: (random) => (random.next() < 0.8 ? 0.001 : 0.02) * Math.exp(0.1 * random.normal()),
  cdf: bimodalCdf,
  quantile: (share) => quantileOf(bimodalCdf, share),
};

function bimodalCdf(x: number): number {
  return 0.8 * normalCdf(Math.log(x / 0.001) / 0.1) + 0.2 * normalCdf(Math.log(x / 0.02) / 0.1);
}

/** Pareto with infinite variance. */
const HEAVY_TAIL: Distribution = {
  name: 'heavy tail',
  draw: (random) => 0.002 * (1 - random.next()) ** (-1 / 1.5),
  cdf: (x) => (x < 0.002 ? 0 : 1 - (0.002 / x) ** 1.5),
  quantile: (share) => 0.002 * (1 - share) ** (-1 / 1.5),
};

const CONSTANT: Distribution = { name: 'constant', draw: () => 0.005, cdf: (x) => (x < 0.005 ? 0 : 1), quantile: () => 0.005 };

export const DISTRIBUTIONS: readonly Distribution[] = [UNIFORM, LOGNORMAL, BIMODAL, HEAVY_TAIL, CONSTANT];

/** The value below which this share of the executions lies, from 1 µs to 10⁶ s. */
export function quantileOf(cdf: (seconds: number) => number, quantile: number): number {
  let low = 1e-6;
  let high = 1e6;
  while (high / low > 1 + 1e-9) {
    const middle = Math.sqrt(low * high);
    if (cdf(middle) >= quantile) high = middle;
    else low = middle;
  }
  return high;
}

/** Abramowitz and Stegun 26.2.17; off by less than 7.5e-8. */
export function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z > 0 ? 1 - tail : tail;
}

/** The inverse of `normalCdf`, by bisection. */
export function normalQuantile(p: number): number {
  let low = -9;
  let high = 9;
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
