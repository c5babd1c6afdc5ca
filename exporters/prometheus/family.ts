import type { HrTime } from '@opentelemetry/api';
import type { ExponentialHistogram, Histogram } from '@opentelemetry/sdk-metrics';

export type FamilyType = 'gauge' | 'counter' | 'histogram' | 'info';

/** What stands under one `# TYPE` line. */
export interface Family {
  /** Sample name in text 0.0.4: `_total` included where the strategy adds it. */
  readonly name: string;
  readonly type: FamilyType;
  readonly help: string;
  /** Unit as a word; empty when the name does not end in it. */
  readonly unit: string;
  readonly series: Series[];
  /** How numbers are spelled: as Go does, or as the AWS script's Python client does. */
  readonly numbers: 'go' | 'python';
  /** Text 0.0.4 shows creation times as a gauge family of their own, as the AWS script's Python client does. */
  readonly createdFamily: boolean;
}

/** The series of one label set. Cells are the numbers that a page prints for it, in the order of its lines. */
export interface Series {
  /** `a="b",c="d"`, escaped, without braces. */
  readonly labelText: string;
  readonly createdSeconds: number;
  /** Upper bounds of a histogram's buckets, `+Inf` left out; undefined for a single number. */
  readonly bounds: readonly number[] | undefined;
  /** The number itself; or for a histogram the cumulative bucket counts with `+Inf`, then sum, then count. */
  cell(index: number): number;
}

/** One number. */
export class NumberSeries implements Series {
  readonly labelText: string;
  readonly bounds = undefined;
  value = 0;
  createdSeconds = 0;

  constructor(labelText: string) {
    this.labelText = labelText;
  }

  cell(): number {
    return this.value;
  }

  /** Takes the current value of a point; true when the lines of this series changed their shape. */
  take(value: unknown, startTime: HrTime): boolean {
    if (typeof value === 'number') this.value = value;
    this.createdSeconds = secondsOf(startTime);
    return false;
  }
}

/** A histogram with classic buckets, and its exponential form where it has one. */
export class HistogramSeries implements Series {
  readonly labelText: string;
  bounds: readonly number[] = [];
  createdSeconds = 0;
  /** Present when the point is an exponential histogram: scrapers that take native histograms get this. */
  native: ExponentialHistogram | undefined;
  #cumulativeCounts: readonly number[] = [0];
  #sum = 0;
  #count = 0;

  constructor(labelText: string) {
    this.labelText = labelText;
  }

  cell(index: number): number {
    if (index <= this.bounds.length) return this.#cumulativeCounts[index] ?? this.#count;
    return index === this.bounds.length + 1 ? this.#sum : this.#count;
  }

  take(value: unknown, startTime: HrTime): boolean {
    this.createdSeconds = secondsOf(startTime);
    if (!isHistogram(value)) return false;
    this.#sum = value.sum ?? Number.NaN;
    this.#count = value.count;
    const { boundaries, cumulativeCounts } = classicBuckets(value);
    this.#cumulativeCounts = cumulativeCounts;
    this.native = 'scale' in value ? value : undefined;
    const changed = boundaries.length !== this.bounds.length || boundaries.some((bound, index) => bound !== this.bounds[index]);
    if (changed) this.bounds = [...boundaries];
    return changed;
  }
}

interface ClassicBuckets {
  readonly boundaries: readonly number[];
  readonly cumulativeCounts: readonly number[];
}

function classicBuckets(value: Histogram | ExponentialHistogram): ClassicBuckets {
  if ('classicBuckets' in value && typeof value.classicBuckets === 'function') return value.classicBuckets() as ClassicBuckets;
  if ('scale' in value) return { boundaries: [], cumulativeCounts: [value.count] };
  let total = 0;
  const boundaries = value.buckets.boundaries.filter((bound) => bound !== Number.POSITIVE_INFINITY);
  return { boundaries, cumulativeCounts: value.buckets.counts.slice(0, boundaries.length).map((count) => (total += count)) };
}

function isHistogram(value: unknown): value is Histogram | ExponentialHistogram {
  return typeof value === 'object' && value !== null && 'count' in value && ('buckets' in value || 'scale' in value);
}

export function secondsOf(time: HrTime): number {
  return time[0] + time[1] / 1e9;
}
