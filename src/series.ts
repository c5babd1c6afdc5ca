import type { Attributes, HrTime } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { MetricDefinition } from './metric-table.ts';
import { PercentileHistogram } from './percentile-histogram.ts';

/** A data point that lives as long as its series: attributes never change identity, so encoders can cache by them. */
export interface LivePoint<T> {
  attributes: Attributes;
  startTime: HrTime;
  endTime: HrTime;
  value: T;
}

/** Attribute values as a receiver hands them over. */
export type AttributeValues = Readonly<Record<string, string | number | undefined>>;

/** One identity of one metric. */
export interface Series {
  /** In the order of the row's attribute names. */
  readonly values: readonly (string | number | undefined)[];
  readonly point: LivePoint<number> | LivePoint<PercentileHistogram>;
  /** Cycle of its group in which it was last recorded. */
  seenInCycle: number;
}

/** Attribute values are set by workloads; longer ones are cut here. */
export const MAX_ATTRIBUTE_LENGTH = 1024;

/** All series of one metric in one group of one entity. Counters keep their totals while they are not seen; gauges do not. */
export class MetricSeries {
  readonly definition: MetricDefinition;
  /** What the SDK's readers and exporters see; `dataPoints` holds exactly the series of the last cycle. */
  readonly data: MetricData;
  readonly #series = new Map<string, Series>();
  #seen: Series[] = [];
  /** `#seen` of the last cycle. */
  #order: Series[] = [];
  #changed = false;

  constructor(definition: MetricDefinition) {
    this.definition = definition;
    this.data = emptyMetricData(definition);
  }

  get size(): number {
    return this.#series.size;
  }

  /** The series with these attributes. Receivers record in the same order each cycle, so it is mostly the next one of the last cycle. */
  find(attributes: AttributeValues): Series | undefined {
    const next = this.#order[this.#seen.length];
    return next !== undefined && this.#matches(next, attributes) ? next : this.#series.get(this.#key(attributes));
  }

  create(attributes: AttributeValues, startTime: HrTime): Series {
    const own: Attributes = {};
    const values = this.definition.attributeNames.map((name) => clip(attributes[name]));
    for (const [index, name] of this.definition.attributeNames.entries()) {
      const value = values[index];
      if (value !== undefined) own[name] = value;
    }
    const times = { startTime, endTime: startTime };
    const series: Series = {
      values,
      point:
        this.definition.instrument === 'histogram'
          ? { attributes: Object.freeze(own), ...times, value: new PercentileHistogram() }
          : { attributes: Object.freeze(own), ...times, value: 0 },
      seenInCycle: -1,
    };
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

  /** Marks a series as part of this cycle. */
  see(series: Series, cycle: number): void {
    if (series.seenInCycle !== cycle - 1) this.#changed = true;
    series.seenInCycle = cycle;
    this.#seen.push(series);
  }

  /** Ends a cycle: points of series that were not seen leave the data. Returns true when the set of points changed. */
  sweep(): boolean {
    const changed = this.#changed || this.#seen.length !== this.data.dataPoints.length;
    if (changed) {
      // The SDK types arrays of four point types; all points of one metric have the type its row says.
      const points = this.data.dataPoints as unknown[];
      points.length = 0;
      for (const series of this.#seen) points.push(series.point);
      if (!keepsTotals(this.definition)) this.#forgetUnseen();
    }
    this.#order = this.#seen;
    this.#seen = [];
    this.#changed = false;
    return changed;
  }

  /** Takes every point out of the data; totals stay. */
  hide(): void {
    this.data.dataPoints.length = 0;
    for (const series of this.#series.values()) series.seenInCycle = -1;
    this.#order = [];
    if (!keepsTotals(this.definition)) this.#series.clear();
  }

  #forgetUnseen(): void {
    const seen = new Set(this.#seen);
    for (const [key, series] of this.#series) if (!seen.has(series)) this.#series.delete(key);
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
