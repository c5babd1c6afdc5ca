import type { Attributes, HrTime } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { MetricDefinition } from './metric-table.ts';
import { PercentileHistogram } from './percentile-histogram.ts';
import type { ClockState } from './sample-clock.ts';

/** The time at which the points that share it were sampled last. It is never changed, only replaced. */
export interface SampleTime {
  endTime: HrTime;
}

/**
 * A data point that is kept as long as its series: attributes never change identity, so encoders can cache by them. Points of one cycle
 * share their time, so that a cycle moves one time, not thousands.
 */
abstract class LivePoint {
  readonly attributes: Attributes;
  startTime: HrTime;
  sampled: SampleTime;

  constructor(attributes: Attributes, startTime: HrTime, sampled: SampleTime) {
    this.attributes = attributes;
    this.startTime = startTime;
    this.sampled = sampled;
  }

  get endTime(): HrTime {
    return this.sampled.endTime;
  }
}

/** A class of its own: V8 then keeps the number inside the point, and setting it allocates nothing. */
export class NumberPoint extends LivePoint {
  value = 0;

  clear(): void {
    this.value = 0;
  }
}

export class HistogramPoint extends LivePoint {
  value = new PercentileHistogram();

  clear(): void {
    this.value = new PercentileHistogram();
  }
}

/** Attribute values as a receiver hands them over. */
export type AttributeValues = Readonly<Record<string, string | number | undefined>>;

/** One identity of one metric. */
export interface Series {
  /** In the order of the row's attribute names. */
  readonly values: readonly (string | number | undefined)[];
  readonly point: NumberPoint | HistogramPoint;
  /** Cycle of its group in which it was last recorded. */
  seenInCycle: number;
  /** State of the wall clock in which the start of the point is stated. */
  clockState: ClockState;
}

/** Attribute values are set by workloads; longer ones are cut here. */
export const MAX_ATTRIBUTE_LENGTH = 1024;

/** All series of one metric in one group of one entity. Counters keep their totals while they are not seen; gauges do not. */
export class MetricSeries {
  readonly definition: MetricDefinition;
  /** The configuration does not leave it out. */
  readonly isEnabled: boolean;
  /** The metric data for the SDK's readers and exporters; `dataPoints` holds exactly the series of the last cycle. */
  readonly data: MetricData;
  readonly #sampled: SampleTime;
  readonly #series = new Map<string, Series>();
  /** Series of the last cycle in their order; those before `#seenCount` were seen in this one, unless it has an order of its own. */
  #order: Series[] = [];
  #ownOrder: Series[] | undefined;
  #seenCount = 0;
  #changed = false;

  /** `sampled` is the time of the group's cycles. */
  constructor(definition: MetricDefinition, options: { readonly isEnabled: boolean; readonly sampled: SampleTime }) {
    this.definition = definition;
    this.isEnabled = options.isEnabled;
    this.#sampled = options.sampled;
    this.data = emptyMetricData(definition);
  }

  get size(): number {
    return this.#series.size;
  }

  /** The series with these attributes. Receivers record in the same order each cycle, so it is mostly the next one of the last cycle. */
  find(attributes: AttributeValues): Series | undefined {
    const next = this.#order[this.#seenCount];
    return next !== undefined && this.#matches(next, attributes) ? next : this.#series.get(this.#key(attributes));
  }

  create(attributes: AttributeValues, options: { readonly start: HrTime; readonly clockState: ClockState }): Series {
    const own: Attributes = {};
    const values = this.definition.attributeNames.map((name) => clip(attributes[name]));
    for (const [index, name] of this.definition.attributeNames.entries()) {
      const value = values[index];
      if (value !== undefined) own[name] = value;
    }
    const Point = this.definition.instrument === 'histogram' ? HistogramPoint : NumberPoint;
    const point = new Point(Object.freeze(own), options.start, this.#sampled);
    const series: Series = { values, point, seenInCycle: -1, clockState: options.clockState };
    this.#series.set(this.#key(attributes), series);
    return series;
  }

  #matches(series: Series, attributes: AttributeValues): boolean {
    const { attributeNames } = this.definition;
    for (let index = 0; index < attributeNames.length; index += 1) {
      if (series.values[index] !== attributes[attributeNames[index] ?? '']) return false;
    }
    return true;
  }

  #key(attributes: AttributeValues): string {
    let key = '';
    for (const name of this.definition.attributeNames) key += `${clip(attributes[name]) ?? ''}\u0000`;
    return key;
  }

  /** Marks a series as recorded in this cycle. */
  see(series: Series, cycle: number): void {
    if (series.seenInCycle !== cycle - 1) {
      this.#changed = true;
      series.point.sampled = this.#sampled;
    }
    series.seenInCycle = cycle;
    if (this.#ownOrder === undefined && this.#order[this.#seenCount] !== series) this.#ownOrder = this.#order.slice(0, this.#seenCount);
    this.#ownOrder?.push(series);
    this.#seenCount += 1;
  }

  /**
   * Ends a cycle: points of series that were not seen leave the data, and keep the time they were sampled at last. Returns true
   * when the set of points changed.
   */
  sweep(cycle: number, sampledBefore: HrTime): boolean {
    this.#order = this.#ownOrder ?? this.#order;
    this.#order.length = this.#seenCount;
    const changed = this.#changed || this.#order.length !== this.data.dataPoints.length;
    if (changed) {
      // The SDK types arrays of four point types; all points of one metric have the type of its row.
      const points = this.data.dataPoints as unknown[];
      points.length = 0;
      for (const series of this.#order) points.push(series.point);
      this.#dismiss(cycle, sampledBefore);
    }
    this.#beginCycle();
    return changed;
  }

  /** Takes every point out of the data; totals stay. */
  hide(): void {
    this.data.dataPoints.length = 0;
    const sampled = { endTime: this.#sampled.endTime };
    for (const series of this.#series.values()) {
      if (series.point.sampled === this.#sampled) series.point.sampled = sampled;
      series.seenInCycle = -1;
    }
    this.#order = [];
    this.#beginCycle();
    if (!keepsTotals(this.definition)) this.#series.clear();
  }

  #beginCycle(): void {
    this.#ownOrder = undefined;
    this.#seenCount = 0;
    this.#changed = false;
  }

  #dismiss(cycle: number, sampledBefore: HrTime): void {
    const keeps = keepsTotals(this.definition);
    const sampled = { endTime: sampledBefore };
    for (const [key, series] of this.#series) {
      if (series.seenInCycle === cycle) continue;
      if (!keeps) this.#series.delete(key);
      else if (series.point.sampled === this.#sampled) series.point.sampled = sampled;
    }
  }
}

function keepsTotals(definition: MetricDefinition): boolean {
  return definition.instrument === 'counter' || definition.instrument === 'histogram';
}

function emptyMetricData(definition: MetricDefinition): MetricData {
  const base = { descriptor: definition.descriptor, aggregationTemporality: AggregationTemporality.CUMULATIVE, dataPoints: [] };
  switch (definition.instrument) {
    case 'gauge':
      return { ...base, dataPointType: DataPointType.GAUGE };
    case 'counter':
      return { ...base, dataPointType: DataPointType.SUM, isMonotonic: true };
    case 'up_down_counter':
      return { ...base, dataPointType: DataPointType.SUM, isMonotonic: false };
    case 'histogram':
      return { ...base, dataPointType: DataPointType.EXPONENTIAL_HISTOGRAM };
  }
}

/** Cuts an attribute value to the documented bound. */
function clip<T extends string | number | undefined>(value: T): T | string {
  return typeof value === 'string' && value.length > MAX_ATTRIBUTE_LENGTH ? value.slice(0, MAX_ATTRIBUTE_LENGTH) : value;
}

export function hrTimeFromMs(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)];
}

export function msFromHrTime(time: HrTime): number {
  return time[0] * 1000 + time[1] / 1e6;
}
