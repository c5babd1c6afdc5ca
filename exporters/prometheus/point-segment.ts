import type { Attributes, HrTime } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { Refresh } from './exposition.ts';
import { NumberSeries } from './family.ts';

/** A point of any kind, as far as a page needs it. */
export interface AnyPoint {
  readonly attributes: Attributes;
  readonly startTime: HrTime;
  readonly value: unknown;
}

/** Where the value of a point goes. */
export interface PointSink {
  /** True when the cells are too many or too few for the value. */
  take(value: unknown, startTime: HrTime, cells: Float64Array): boolean;
}

/** Where a metric stands in a collection. */
export interface MetricPlace {
  readonly resource: Resource;
  /** The first resource is the host's. */
  readonly isHost: boolean;
  readonly scope: InstrumentationScope;
}

/**
 * The points of one metric at one place, and where their values go. Attribute objects of the series store never change identity, those
 * of SDK instruments may and are compared.
 */
export class PointSegment<Known = undefined> {
  readonly place: MetricPlace;
  readonly descriptor: MetricData['descriptor'];
  /** What the part of the page knows about the metric. */
  readonly known: Known;
  readonly attributes: Attributes[];
  #sinks: readonly (PointSink | undefined)[] = [];
  /** For each point its cell, when that is all there is to it, and the start time that is already in place. */
  #cells: number[] = [];
  #startTimes: (HrTime | undefined)[] = [];
  #written: Float64Array | undefined;

  constructor(metric: MetricData, { place, known }: { readonly place: MetricPlace; readonly known: Known }) {
    this.place = place;
    this.descriptor = metric.descriptor;
    this.known = known;
    this.attributes = metric.dataPoints.map(({ attributes }) => attributes);
  }

  /** Values of points without a sink go nowhere. */
  direct(sinks: readonly (PointSink | undefined)[]): void {
    this.#sinks = sinks;
    this.#written = undefined;
  }

  isAt({ resource, isHost, scope }: MetricPlace): boolean {
    return this.place.resource === resource && this.place.scope === scope && this.place.isHost === isHost;
  }

  /** Whether the metric is this one, with these very points. */
  has({ descriptor, dataPoints }: MetricData): boolean {
    if (this.descriptor !== descriptor || this.attributes.length !== dataPoints.length) return false;
    for (let index = 0; index < dataPoints.length; index += 1) {
      const attributes = dataPoints[index]?.attributes;
      if (attributes === undefined || (this.attributes[index] !== attributes && !this.#isSame(index, attributes))) return false;
    }
    return true;
  }

  /** Moves the values of the points to their sinks: the loop every scrape spends its time in. */
  move(dataPoints: readonly AnyPoint[], cells: Float64Array): Refresh {
    if (cells !== this.#written) this.#prepare(cells);
    const known = this.attributes;
    const ownCells = this.#cells;
    const startTimes = this.#startTimes;
    if (known.length !== dataPoints.length) return 'other';
    let isReshaped = false;
    for (let index = 0; index < dataPoints.length; index += 1) {
      const point = dataPoints[index];
      if (point === undefined || (known[index] !== point.attributes && !this.#isSame(index, point.attributes))) return 'other';
      const { value, startTime } = point;
      const cell = ownCells[index] ?? -1;
      if (cell >= 0 && startTime === startTimes[index] && typeof value === 'number') {
        cells[cell] = value;
        continue;
      }
      if (this.#sinks[index]?.take(value, startTime, cells) === true) isReshaped = true;
      startTimes[index] = startTime;
    }
    return isReshaped ? 'reshaped' : 'same';
  }

  /** Cells were assigned anew: nothing that was written is there any more. */
  #prepare(cells: Float64Array): void {
    for (let index = 0; index < this.attributes.length; index += 1) {
      const sink = this.#sinks[index];
      this.#cells[index] = sink instanceof NumberSeries ? sink.cell : -1;
      this.#startTimes[index] = undefined;
    }
    this.#written = cells;
  }

  #isSame(index: number, attributes: Attributes): boolean {
    const known = this.attributes[index];
    if (known === undefined || !haveSameContent(known, attributes)) return false;
    this.attributes[index] = attributes;
    return true;
  }
}

function haveSameContent(a: Attributes, b: Attributes): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
