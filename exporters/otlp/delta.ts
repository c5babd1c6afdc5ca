import type { Attributes, HrTime } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type {
  DataPoint,
  ExponentialHistogram,
  Histogram,
  MetricData,
  MetricDescriptor,
  ResourceMetrics,
  ScopeMetrics,
} from '@opentelemetry/sdk-metrics';
import { msFromHrTime } from '../../src/series.ts';
import type { OtlpTemporality } from './settings.ts';
import { remember } from '../wire/remember.ts';

/** The last point that one destination got of a series, and the next one: one object for the whole life of the series. */
interface SeriesDelta<T> {
  total: T;
  seenStart: HrTime;
  seenEnd: HrTime;
  readonly point: { attributes: Attributes; startTime: HrTime; endTime: HrTime; value: T };
}

interface Arithmetic<T> {
  /** The difference, or undefined after a reset. */
  subtract(now: T, before: T): T | undefined;
  copy(value: T): T;
}

const NUMBERS: Arithmetic<number> = { subtract: (now, before) => (now < before ? undefined : now - before), copy: (value) => value };
const HISTOGRAMS = { subtract: subtractHistogram, copy: copyHistogram };
const EXPONENTIAL_HISTOGRAMS = { subtract: subtractExponential, copy: copyExponentialHistogram };

/** Metric data that encoders can cache by, and how to bring it up to date with its source. */
interface Conversion {
  readonly data: MetricData;
  update(): void;
}

export interface DeltaOptions {
  readonly temporality: Exclude<OtlpTemporality, 'cumulative'>;
  /** Totals of series that are older than this were reported by whoever ran before: only what is added to them counts. */
  readonly createdAtMs: number;
}

/**
 * Turns cumulative points into differences for one destination. Series are told apart by the identity of their descriptor and
 * attributes, so their memory goes when the series goes. `delta` converts counters and histograms, `lowmemory` histograms only:
 * the store observes every counter as a total, which that preference leaves cumulative.
 */
export class DeltaConverter {
  readonly #options: DeltaOptions;
  readonly #numbers = new SeriesDeltas(NUMBERS);
  readonly #histograms = new SeriesDeltas(HISTOGRAMS);
  readonly #exponentials = new SeriesDeltas(EXPONENTIAL_HISTOGRAMS);
  readonly #conversions = new WeakMap<MetricData, Conversion>();

  constructor(options: DeltaOptions) {
    this.#options = options;
  }

  /** The same batch with differences; series without a new sample, and envelopes without points, are left out. */
  convert(resourceMetrics: readonly ResourceMetrics[]): ResourceMetrics[] {
    return resourceMetrics
      .map(({ resource, scopeMetrics }) => ({ resource, scopeMetrics: this.#scopes(scopeMetrics) }))
      .filter(({ scopeMetrics }) => scopeMetrics.length > 0);
  }

  #scopes(scopeMetrics: readonly ScopeMetrics[]): ScopeMetrics[] {
    return scopeMetrics
      .map(({ scope, metrics }) => ({
        scope,
        metrics: metrics.map((metric) => this.#metric(metric)).filter(({ dataPoints }) => dataPoints.length > 0),
      }))
      .filter(({ metrics }) => metrics.length > 0);
  }

  #metric(metric: MetricData): MetricData {
    const conversion = remember(this.#conversions, metric, () => this.#conversion(metric));
    conversion.update();
    return conversion.data;
  }

  #conversion(metric: MetricData): Conversion {
    const { createdAtMs, temporality } = this.#options;
    const { descriptor } = metric;
    const unchanged = { data: metric, update: () => {} };
    if (metric.aggregationTemporality === AggregationTemporality.DELTA) return unchanged;
    const delta = { aggregationTemporality: AggregationTemporality.DELTA };
    switch (metric.dataPointType) {
      case DataPointType.GAUGE:
        return unchanged;
      case DataPointType.SUM: {
        if (!metric.isMonotonic || temporality === 'lowmemory') return unchanged;
        const data = { ...metric, ...delta, dataPoints: [] };
        return { data, update: () => this.#numbers.convert(descriptor, metric.dataPoints, data.dataPoints, createdAtMs) };
      }
      case DataPointType.HISTOGRAM: {
        const data = { ...metric, ...delta, dataPoints: [] };
        return { data, update: () => this.#histograms.convert(descriptor, metric.dataPoints, data.dataPoints, createdAtMs) };
      }
      case DataPointType.EXPONENTIAL_HISTOGRAM: {
        const data = { ...metric, ...delta, dataPoints: [] };
        return { data, update: () => this.#exponentials.convert(descriptor, metric.dataPoints, data.dataPoints, createdAtMs) };
      }
    }
  }
}

class SeriesDeltas<T> {
  readonly #arithmetic: Arithmetic<T>;
  readonly #series = new WeakMap<MetricDescriptor, WeakMap<Attributes, SeriesDelta<T>>>();

  constructor(arithmetic: Arithmetic<T>) {
    this.#arithmetic = arithmetic;
  }

  /** Replaces `target` with the differences of `points`. */
  convert(descriptor: MetricDescriptor, points: readonly DataPoint<T>[], target: DataPoint<T>[], createdAtMs: number): void {
    const known = remember(this.#series, descriptor, () => new WeakMap());
    target.length = 0;
    for (const point of points) {
      const series = known.get(point.attributes);
      if (series !== undefined) {
        if (this.#advance(series, point)) target.push(series.point);
        continue;
      }
      const first = this.#begin(point);
      known.set(point.attributes, first);
      if (msFromHrTime(point.startTime) >= createdAtMs) target.push(first.point);
    }
  }

  #begin({ attributes, startTime, endTime, value }: DataPoint<T>): SeriesDelta<T> {
    const total = this.#arithmetic.copy(value);
    return { total, seenStart: startTime, seenEnd: endTime, point: { attributes, startTime, endTime, value: total } };
  }

  /** False when there is no new sample. */
  #advance(series: SeriesDelta<T>, { startTime, endTime, value }: DataPoint<T>): boolean {
    if (isSame(endTime, series.seenEnd)) return false;
    const total = this.#arithmetic.copy(value);
    // A start that is new and after the last sample is a reset. An earlier one comes with a wall clock that was set back: the total goes on.
    const isReset = !isSame(startTime, series.seenStart) && !isLater(series.seenEnd, startTime);
    const difference = isReset ? undefined : this.#arithmetic.subtract(value, series.total);
    series.point.startTime = startOf({ startTime, endTime, seenEnd: series.seenEnd, isWhole: difference === undefined });
    series.point.endTime = endTime;
    series.point.value = difference ?? total;
    series.total = total;
    series.seenStart = startTime;
    series.seenEnd = endTime;
    return true;
  }
}

function isSame(a: HrTime, b: HrTime): boolean {
  return a === b || (a[0] === b[0] && a[1] === b[1]);
}

/** After a reset everything counted so far is new. Intervals of one series overlap only where the wall clock was set back. */
function startOf(times: {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly seenEnd: HrTime;
  readonly isWhole: boolean;
}): HrTime {
  const { startTime, endTime, seenEnd, isWhole } = times;
  if (isLater(seenEnd, endTime)) return isWhole ? startTime : endTime;
  return isWhole && isLater(startTime, seenEnd) ? startTime : seenEnd;
}

function isLater(a: HrTime, b: HrTime): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

function copyHistogram(value: Histogram): Histogram {
  return { ...value, buckets: { boundaries: value.buckets.boundaries, counts: [...value.buckets.counts] } };
}

function copyExponentialHistogram(value: ExponentialHistogram): ExponentialHistogram {
  const { count, sum, scale, zeroCount, positive, negative } = value;
  return {
    count,
    ...(sum === undefined ? {} : { sum }),
    ...(value.min === undefined ? {} : { min: value.min }),
    ...(value.max === undefined ? {} : { max: value.max }),
    scale,
    zeroCount,
    positive: { offset: positive.offset, bucketCounts: [...positive.bucketCounts] },
    negative: { offset: negative.offset, bucketCounts: [...negative.bucketCounts] },
  };
}

type Buckets = ExponentialHistogram['positive'];

/**
 * Returns what was added since `before`, or undefined when `now` does not continue it. Minimum and maximum of the interval are
 * unknown, and left out.
 */
function subtractHistogram(now: Histogram, before: Histogram): Histogram | undefined {
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
function subtractExponential(now: ExponentialHistogram, before: ExponentialHistogram): ExponentialHistogram | undefined {
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
