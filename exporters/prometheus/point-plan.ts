import type { Attributes, HrTime } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
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

/** Where a point comes from. */
export interface PointOrigin {
  readonly resource: Resource;
  /** The first resource is the host's. */
  readonly isHost: boolean;
  readonly scope: InstrumentationScope;
  readonly metric: MetricData;
}

export type BindPoint = (point: AnyPoint, origin: PointOrigin) => PointSink | undefined;

/**
 * Remembers which points a collection had and where their values go, so that the next collection only moves numbers.
 * Attribute objects of the series store never change identity, those of SDK instruments may and are compared.
 */
export class PointPlan {
  #resources: Resource[] = [];
  #scopes: InstrumentationScope[] = [];
  /** For each metric, how many resources and scopes had come by then: a metric may move to a neighbour that has the same points. */
  #owners: number[] = [];
  #descriptors: MetricData['descriptor'][] = [];
  #pointCounts: number[] = [];
  #attributes: Attributes[] = [];
  #sinks: (PointSink | undefined)[] = [];
  /** For each point its cell, when that is all there is to it, and the start time that is already in place. */
  #cells = new Int32Array(0);
  #startTimes: (HrTime | undefined)[] = [];
  #written: Float64Array | undefined;

  /** Moves the values of a collection to their sinks. */
  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh {
    if (cells !== this.#written) this.#prepare(cells);
    let resources = 0;
    let scopes = 0;
    let metrics = 0;
    let points = 0;
    let isReshaped = false;
    for (const { resource, scopeMetrics } of collection) {
      if (this.#resources[resources++] !== resource) return 'other';
      for (const { scope, metrics: metricData } of scopeMetrics) {
        if (this.#scopes[scopes++] !== scope) return 'other';
        for (const metric of metricData) {
          const { descriptor, dataPoints } = metric;
          if (this.#owners[metrics] !== resources + scopes || this.#descriptors[metrics] !== descriptor) return 'other';
          if (this.#pointCounts[metrics++] !== dataPoints.length) return 'other';
          const outcome = this.#move(dataPoints, points, cells);
          if (outcome === 'other') return 'other';
          isReshaped ||= outcome === 'reshaped';
          points += dataPoints.length;
        }
      }
    }
    if (resources !== this.#resources.length || scopes !== this.#scopes.length || metrics !== this.#descriptors.length) return 'other';
    return isReshaped ? 'reshaped' : 'same';
  }

  /** Learns a collection anew. */
  rebuild(collection: readonly ResourceMetrics[], bind: BindPoint): void {
    this.#resources = [];
    this.#scopes = [];
    this.#owners = [];
    this.#descriptors = [];
    this.#pointCounts = [];
    this.#attributes = [];
    this.#sinks = [];
    this.#written = undefined;
    for (const [index, { resource, scopeMetrics }] of collection.entries()) {
      this.#resources.push(resource);
      for (const { scope, metrics } of scopeMetrics) {
        this.#scopes.push(scope);
        for (const metric of metrics) this.#learn({ resource, isHost: index === 0, scope, metric }, bind);
      }
    }
  }

  #learn(origin: PointOrigin, bind: BindPoint): void {
    const { descriptor, dataPoints } = origin.metric;
    this.#owners.push(this.#resources.length + this.#scopes.length);
    this.#descriptors.push(descriptor);
    this.#pointCounts.push(dataPoints.length);
    for (const point of dataPoints) {
      this.#attributes.push(point.attributes);
      this.#sinks.push(bind(point, origin));
    }
  }

  /** Cells were assigned anew: nothing that was written is there any more. */
  #prepare(cells: Float64Array): void {
    this.#cells = Int32Array.from(this.#sinks, (sink) => (sink instanceof NumberSeries ? sink.cell : -1));
    this.#startTimes = this.#sinks.map(() => undefined);
    this.#written = cells;
  }

  /** The loop every scrape spends its time in. */
  #move(dataPoints: readonly AnyPoint[], first: number, cells: Float64Array): Refresh {
    const known = this.#attributes;
    const ownCells = this.#cells;
    const startTimes = this.#startTimes;
    let isReshaped = false;
    for (let position = 0; position < dataPoints.length; position += 1) {
      const point = dataPoints[position];
      const index = first + position;
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

  #isSame(index: number, attributes: Attributes): boolean {
    const known = this.#attributes[index];
    if (known === undefined || !haveSameContent(known, attributes)) return false;
    this.#attributes[index] = attributes;
    return true;
  }
}

function haveSameContent(a: Attributes, b: Attributes): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
