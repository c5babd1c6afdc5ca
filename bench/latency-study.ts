/**
 * How well latency quantiles come back out of histograms that were rebuilt from neuron-monitor's percentiles, on distributions whose
 * truth is known, for one host and for a fleet, next to what averaging the percentiles of the hosts gives.
 * `npm run bench -- latency-study`; the tables of docs/decisions/latency-histograms.md are its output. Seeded: it prints the same
 * numbers each time, but for the cost at its end.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { ExponentialHistogram } from '@opentelemetry/sdk-metrics';
import { Random } from '../simulator/random.ts';
import { PercentileHistogram } from '../src/percentile-histogram.ts';
import type { PercentileHistogramInput } from '../src/percentile-histogram.ts';
import { DISTRIBUTIONS, normalQuantile, quantileOf } from './latency-distributions.ts';
import type { Distribution } from './latency-distributions.ts';
import { closingLine } from './statistics.ts';

const REPORTED = [0, 0.01, 0.25, 0.5, 0.75, 0.99, 1] as const;
const WANTED = [0.5, 0.9, 0.99, 0.999] as const;
const QUANTILE_NAMES = ['p50', 'p90', 'p99', 'p99.9'] as const;
const SIZES = [5, 20, 100, 1_000, 10_000, 100_000] as const;
const HOSTS = 1_000;
/** One host in ten is five times slower. */
const SLOW_SHARE = 0.1;
const SLOWDOWN = 5;
const SEED = 2026;
/** Executions simulated one by one for one fleet; above it, each host's percentiles are drawn as order statistics. */
const MOST_SAMPLES = 1_000_000;

/** Relative errors of p50, p90, p99, p99.9; undefined where a method has no answer. */
type Errors = readonly (number | undefined)[];

export interface Row {
  readonly distribution: string;
  readonly executions: number;
  readonly exponential: Errors;
  readonly classic: Errors;
  readonly averaged: Errors;
}

export function run(args: readonly string[]): void {
  const tables = studyTables();
  console.log(tables);
  if (args.includes('--write')) writeDecision(tables);
  const mixed = fleetRows(true).filter((row) => row.distribution !== 'constant');
  for (const [index, name] of QUANTILE_NAMES.entries()) {
    const typical = (errorsOf: (row: Row) => Errors): number =>
      100 * median(mixed.flatMap((row) => errorsOf(row)[index] ?? []).map((error) => Math.abs(error)));
    const measure = `latency-study/mixed_fleet_${name}_error_percent`;
    const ours = typical((row) => row.exponential);
    const peer = typical((row) => row.averaged);
    if (Number.isNaN(peer)) console.log(`${measure} ours=${ours.toFixed(2)} peer=none ratio=none goal=none`);
    else console.log(closingLine({ measure, ours, peer, better: 'less', goal: 'none' }));
  }
  console.log(`latency-study/add_cpu_us ours=${addCostUs().toFixed(1)} peer=none ratio=none goal=none`);
}

/** Puts the tables between the marks of the decision document. */
function writeDecision(tables: string): void {
  const file = new URL('../docs/decisions/latency-histograms.md', import.meta.url);
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replace(/(<!-- study -->\n).*(<!-- \/study -->)/s, (_, begin: string, end: string) => `${begin}\n${tables}\n${end}`),
  );
}

/** All tables of the study, as Markdown. */
export function studyTables(): string {
  return [
    heading('One host, one period', 'mean of the absolute errors over many periods, percent'),
    table(singleHostRows(), false),
    heading(`A fleet of ${HOSTS} hosts that are alike`, 'error, percent'),
    table(fleetRows(false), true),
    heading(`A fleet of ${HOSTS} hosts, one in ten five times slower`, 'error, percent'),
    table(fleetRows(true), true),
    heading('What is assumed between two percentiles', 'one host, 100,000 executions, mean of the absolute errors, percent'),
    spreadTable(),
  ].join('\n');
}

export function singleHostRows(sizes: readonly number[] = SIZES): readonly Row[] {
  return DISTRIBUTIONS.flatMap((distribution) =>
    sizes.map((executions) => {
      const random = new Random(SEED, `${distribution.name} ${executions}`);
      const repetitions = Math.max(3, Math.min(300, Math.round(300_000 / executions)));
      const all = Array.from({ length: repetitions }, () => {
        const samples = sortedSamples(distribution, executions, 1, random);
        const histogram = new PercentileHistogram();
        histogram.add(percentilesOf(samples));
        const truth = WANTED.map((quantile) => nearestRank(samples, quantile));
        return { exponential: errors(fromExponential(histogram), truth), classic: errors(fromClassic(histogram), truth) };
      });
      const mean = (of: (each: (typeof all)[number]) => Errors): Errors =>
        WANTED.map((_, index) => all.reduce((total, each) => total + Math.abs(of(each)[index] ?? Number.NaN), 0) / repetitions);
      return {
        distribution: distribution.name,
        executions,
        exponential: mean((each) => each.exponential),
        classic: mean((each) => each.classic),
        averaged: [],
      };
    }),
  );
}

export function fleetRows(isMixed: boolean, sizes: readonly number[] = SIZES): readonly Row[] {
  return DISTRIBUTIONS.flatMap((distribution) => sizes.map((executions) => fleetRow(distribution, executions, isMixed)));
}

/** One period of a whole fleet: each host's percentiles become a histogram, the histograms are merged as a backend merges them. */
function fleetRow(distribution: Distribution, executions: number, isMixed: boolean): Row {
  const random = new Random(SEED, `${distribution.name} ${executions} ${isMixed ? 'mixed' : 'alike'}`);
  const fleet = new PercentileHistogram();
  const simulated: Float64Array[] = [];
  const totals = new Map<number, number>();
  for (let host = 0; host < HOSTS; host += 1) {
    const factor = isMixed && host < HOSTS * SLOW_SHARE ? SLOWDOWN : 1;
    const period = hostPeriod(distribution, executions, factor, random, simulated);
    const histogram = new PercentileHistogram();
    histogram.add(period);
    fleet.merge(histogram);
    for (const [quantile, value] of period.quantiles) totals.set(quantile, (totals.get(quantile) ?? 0) + value);
  }
  const truth = fleetTruth(distribution, isMixed, simulated);
  const averages = WANTED.map((quantile) => {
    const total = totals.get(quantile);
    return total === undefined ? undefined : total / HOSTS;
  });
  return {
    distribution: distribution.name,
    executions,
    exponential: errors(fromExponential(fleet), truth),
    classic: errors(fromClassic(fleet), truth),
    averaged: errors(averages, truth),
  };
}

function hostPeriod(
  distribution: Distribution,
  executions: number,
  factor: number,
  random: Random,
  simulated: Float64Array[],
): PercentileHistogramInput {
  if (executions * HOSTS > MOST_SAMPLES) return drawnPercentiles(distribution, executions, factor, random);
  const samples = sortedSamples(distribution, executions, factor, random);
  simulated.push(samples);
  return percentilesOf(samples);
}

/** The quantiles of what was simulated, or of the distribution where that would be too much: there the two are the same. */
function fleetTruth(distribution: Distribution, isMixed: boolean, simulated: readonly Float64Array[]): readonly number[] {
  if (simulated.length > 0) {
    const all = new Float64Array(simulated.reduce((total, samples) => total + samples.length, 0));
    let at = 0;
    for (const samples of simulated) {
      all.set(samples, at);
      at += samples.length;
    }
    const sorted = all.toSorted();
    return WANTED.map((quantile) => nearestRank(sorted, quantile));
  }
  const slow = isMixed ? SLOW_SHARE : 0;
  return WANTED.map((quantile) => quantileOf((x) => (1 - slow) * distribution.cdf(x) + slow * distribution.cdf(x / SLOWDOWN), quantile));
}

function sortedSamples(distribution: Distribution, executions: number, factor: number, random: Random): Float64Array {
  const samples = new Float64Array(executions);
  for (let index = 0; index < executions; index += 1) samples[index] = factor * distribution.draw(random);
  return samples.toSorted();
}

function percentilesOf(sorted: Float64Array): PercentileHistogramInput {
  return { count: sorted.length, quantiles: new Map(REPORTED.map((quantile) => [quantile, atRank(sorted, quantile)])) };
}

/**
 * The reported percentiles of samples that are not drawn one by one: order statistics of uniform numbers are ratios of sums of
 * exponential ones, and a sum of k exponential numbers is a gamma variate, which for large k is normal (Wilson–Hilferty).
 */
function drawnPercentiles(distribution: Distribution, executions: number, factor: number, random: Random): PercentileHistogramInput {
  const ranks = REPORTED.map((quantile) => Math.floor((executions - 1) * quantile));
  let sum = 0;
  let previous = -1;
  const sums = ranks.map((rank) => {
    sum += gamma(rank - previous, random);
    previous = rank;
    return sum;
  });
  const whole = sum + gamma(executions - previous, random);
  return {
    count: executions,
    quantiles: new Map(REPORTED.map((quantile, index) => [quantile, factor * distribution.quantile((sums[index] ?? 0) / whole)])),
  };
}

function gamma(shape: number, random: Random): number {
  if (shape > 50) return shape * (1 - 1 / (9 * shape) + random.normal() / (3 * Math.sqrt(shape))) ** 3;
  let sum = 0;
  for (let index = 0; index < shape; index += 1) sum += random.exponential(1);
  return sum;
}

/** The quantile as everything that reads histograms means it: the smallest sample that this share of the samples does not pass. */
function nearestRank(sorted: Float64Array, quantile: number): number {
  return sorted[Math.ceil(sorted.length * quantile - 1e-9) - 1] ?? Number.NaN;
}

/** The rank rule of neuron-monitor. */
function atRank(sorted: Float64Array, quantile: number): number {
  return sorted[Math.floor((sorted.length - 1) * quantile)] ?? Number.NaN;
}

/** As PromQL's `histogram_quantile` reads a native histogram: exponential interpolation within the bucket. */
function fromExponential(histogram: ExponentialHistogram): readonly number[] {
  const base = 2 ** (2 ** -histogram.scale);
  const { offset, bucketCounts } = histogram.positive;
  return WANTED.map((quantile) => {
    const rank = quantile * histogram.count;
    let before = histogram.zeroCount;
    for (const [index, count] of bucketCounts.entries()) {
      if (before + count < rank) {
        before += count;
        continue;
      }
      const value = base ** (offset + index + (rank - before) / count);
      return Math.min(histogram.max ?? value, Math.max(histogram.min ?? value, value));
    }
    return histogram.max ?? Number.NaN;
  });
}

/** As PromQL's `histogram_quantile` reads classic buckets: linear interpolation within the bucket. */
function fromClassic(histogram: PercentileHistogram): readonly number[] {
  const { boundaries, cumulativeCounts } = histogram.classicBuckets();
  return WANTED.map((quantile) => {
    const rank = quantile * histogram.count;
    const index = cumulativeCounts.findIndex((count) => count >= rank);
    const upper = boundaries[index];
    if (upper === undefined) return boundaries.at(-1) ?? Number.NaN;
    const lower = boundaries[index - 1] ?? 0;
    const before = cumulativeCounts[index - 1] ?? 0;
    return lower + ((upper - lower) * (rank - before)) / ((cumulativeCounts[index] ?? Number.NaN) - before);
  });
}

function errors(found: readonly (number | undefined)[], truth: readonly number[]): Errors {
  return found.map((value, index) => (value === undefined ? undefined : value / (truth[index] ?? Number.NaN) - 1));
}

/** Percentiles alone, without a histogram: the value is interpolated between the two nearest ones, along different scales of rank. */
function spreadTable(): string {
  const scales: readonly (readonly [string, (share: number) => number])[] = [
    ['rank', (share) => share],
    ['normal quantile', normalQuantile],
    ['log-odds', (share) => Math.log(share / (1 - share))],
  ];
  const lines = DISTRIBUTIONS.map((distribution) => {
    const random = new Random(SEED, `spread ${distribution.name}`);
    const periods = Array.from({ length: 5 }, () => sortedSamples(distribution, 100_000, 1, random));
    const cells = scales.flatMap(([, scale]) =>
      [0.9, 0.999].map((quantile) => {
        const found = periods.map((samples) => Math.abs(interpolated(samples, quantile, scale) / nearestRank(samples, quantile) - 1));
        return percent(found.reduce((total, each) => total + each, 0) / periods.length);
      }),
    );
    return [distribution.name, ...cells];
  });
  const titles = scales.flatMap(([name]) => [`${name}: p90`, 'p99.9']);
  return aligned([['distribution', ...titles], ...lines]);
}

function interpolated(sorted: Float64Array, quantile: number, scale: (share: number) => number): number {
  const count = sorted.length;
  const ranks = REPORTED.map((each) => Math.floor((count - 1) * each));
  const rank = Math.floor((count - 1) * quantile);
  const low = ranks.findLast((each) => each <= rank) ?? 0;
  const high = ranks.find((each) => each > rank) ?? low;
  const at = (each: number): number => scale((each + 0.5) / count);
  const [from, to] = [sorted[low] ?? Number.NaN, sorted[high] ?? Number.NaN];
  return from * (to / from) ** ((at(rank) - at(low)) / (at(high) - at(low)));
}

function heading(title: string, what: string): string {
  return `### ${title}\n\n_${what}_\n`;
}

function table(rows: readonly Row[], withAverages: boolean): string {
  const groups = ['histogram', 'classic buckets', ...(withAverages ? ['averaged percentiles'] : [])];
  const titles = groups.flatMap((group) => QUANTILE_NAMES.map((quantile, index) => (index === 0 ? `${group}: ${quantile}` : quantile)));
  return aligned([['distribution', 'executions', ...titles], ...rows.map(cellsOf)]);
}

/** One line of a table, cell by cell. */
export function cellsOf({ distribution, executions, exponential, classic, averaged }: Row): readonly string[] {
  return [distribution, executions.toLocaleString('en-US'), ...[...exponential, ...classic, ...averaged].map(percent)];
}

/** A Markdown table as the formatter of this project leaves it. */
function aligned(rows: readonly (readonly string[])[]): string {
  const [titles = [], ...lines] = rows;
  const widths = titles.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(titles), line(rule), ...lines.map(line), ''].join('\n');
}

function percent(error: number | undefined): string {
  if (error === undefined) return '–';
  const text = (100 * error).toFixed(1);
  return text === '-0.0' ? '0.0' : text;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** CPU time to add one period of a lognormal distribution, microseconds. */
function addCostUs(): number {
  const [, lognormal] = DISTRIBUTIONS;
  if (lognormal === undefined) return Number.NaN;
  const period = percentilesOf(sortedSamples(lognormal, 1_000, 1, new Random(SEED, 'cost')));
  const histogram = new PercentileHistogram();
  for (let index = 0; index < 5_000; index += 1) histogram.add(period);
  const before = process.cpuUsage();
  for (let index = 0; index < 20_000; index += 1) histogram.add(period);
  return process.cpuUsage(before).user / 20_000;
}
