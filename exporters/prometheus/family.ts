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
  readonly series: readonly Series[];
  /** How numbers are spelled: as Go does, or as the AWS script's Python client does. */
  readonly numbers: 'go' | 'python';
  /**
   * Whether series know when they began: `samples` shows it where the format has a place for it, `family` also in text 0.0.4, as
   * a gauge family of its own, as the AWS script's Python client does.
   */
  readonly created: 'unknown' | 'samples' | 'family';
}

/** The series of one label set. Its numbers stand in the cells of the exposition, from `cell` on. */
export interface Series {
  /** `a="b",c="d"`, escaped, without braces. */
  readonly labelText: string;
  /** Upper bounds of a histogram's buckets, `+Inf` left out; undefined for a single number. */
  readonly bounds: readonly number[] | undefined;
  /**
   * Place of the first number: the number itself; or of a histogram the cumulative bucket counts with `+Inf`, the sum, the count.
   * The creation time follows where the family has one, in seconds. Negative before there is a place.
   */
  cell: number;
}

/** Numbers of one series, the creation time left out. */
export function numberCount({ bounds }: Series): number {
  return bounds === undefined ? 1 : bounds.length + 3;
}

/** Cells of one series. */
export function cellCount({ created }: Family, series: Series): number {
  return numberCount(series) + (created === 'unknown' ? 0 : 1);
}

/** One number. */
export class NumberSeries implements Series {
  readonly labelText: string;
  readonly bounds = undefined;
  readonly hasCreated: boolean;
  cell = -1;

  constructor(labelText: string, { hasCreated }: { readonly hasCreated: boolean }) {
    this.labelText = labelText;
    this.hasCreated = hasCreated;
  }

  take(value: unknown, startTime: HrTime, cells: Float64Array): boolean {
    if (typeof value === 'number') cells[this.cell] = value;
    if (this.hasCreated) cells[this.cell + 1] = secondsOf(startTime);
    return false;
  }
}

/** A histogram with classic buckets, and its exponential form where it has one. */
export class HistogramSeries implements Series {
  readonly labelText: string;
  bounds: readonly number[] = [];
  cell = -1;
  /** Present when the point is an exponential histogram: scrapers that take native histograms get this. */
  native: ExponentialHistogram | undefined;

  constructor(labelText: string) {
    this.labelText = labelText;
  }

  /** Writes the cells; true when it has none because the bounds are others now. */
  take(value: unknown, startTime: HrTime, cells: Float64Array): boolean {
    if (!isHistogram(value)) return false;
    const { boundaries, cumulativeCounts } = classicBuckets(value);
    this.native = 'scale' in value ? value : undefined;
    const isReshaped = boundaries.length !== this.bounds.length || boundaries.some((bound, index) => bound !== this.bounds[index]);
    if (isReshaped) {
      this.bounds = [...boundaries];
      this.cell = -1;
    }
    if (this.cell < 0) return true;
    for (let index = 0; index <= boundaries.length; index += 1) cells[this.cell + index] = cumulativeCounts[index] ?? value.count;
    const after = this.cell + boundaries.length + 1;
    cells[after] = value.sum ?? Number.NaN;
    cells[after + 1] = value.count;
    cells[after + 2] = secondsOf(startTime);
    return false;
  }
}

interface ClassicBuckets {
  readonly boundaries: readonly number[];
  readonly cumulativeCounts: readonly number[];
}

function classicBuckets(value: Histogram | ExponentialHistogram): ClassicBuckets {
  if (hasClassicBuckets(value)) return value.classicBuckets();
  if ('scale' in value) return { boundaries: [], cumulativeCounts: [value.count] };
  let total = 0;
  const boundaries = value.buckets.boundaries.filter((bound) => bound !== Number.POSITIVE_INFINITY);
  return { boundaries, cumulativeCounts: value.buckets.counts.slice(0, boundaries.length).map((count) => (total += count)) };
}

/** As `PercentileHistogram` has them. */
function hasClassicBuckets(value: object): value is { classicBuckets(): ClassicBuckets } {
  return 'classicBuckets' in value && typeof value.classicBuckets === 'function';
}

function isHistogram(value: unknown): value is Histogram | ExponentialHistogram {
  return typeof value === 'object' && value !== null && 'count' in value && ('buckets' in value || 'scale' in value);
}

export function secondsOf(time: HrTime): number {
  return time[0] + time[1] / 1e9;
}
