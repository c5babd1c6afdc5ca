import type { Attributes, HrTime } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData } from '@opentelemetry/sdk-metrics';

/** A point of any kind, as far as a page needs it. */
export interface AnyPoint {
  readonly attributes: Attributes;
  readonly startTime: HrTime;
  readonly value: unknown;
}

/** Where the value of a point goes. */
export interface PointSink {
  /** True when the value needs other cells than there are for it. */
  take(value: unknown, startTime: HrTime, cells: Float64Array): boolean;
}

/** Where a metric stands in a collection. */
export interface MetricPlace {
  readonly resource: Resource;
  /** The first resource is the host's. */
  readonly isHost: boolean;
  readonly scope: InstrumentationScope;
}

/** The points of one metric at one place. They stay together for as long as none comes and none goes. */
export class PointSegment<Known = undefined> {
  readonly place: MetricPlace;
  readonly descriptor: MetricData['descriptor'];
  /** What the part of the page knows about the metric. */
  readonly known: Known;
  /** How many points there are, and where they begin among all points of the collection. */
  readonly count: number;
  first = 0;
  /** Whether the cells of the points are those of the sinks. */
  isConnected = false;
  #sinks: readonly (PointSink | undefined)[] = [];

  constructor({ descriptor, dataPoints }: MetricData, { place, known }: { readonly place: MetricPlace; readonly known: Known }) {
    this.place = place;
    this.descriptor = descriptor;
    this.known = known;
    this.count = dataPoints.length;
  }

  get sinks(): readonly (PointSink | undefined)[] {
    return this.#sinks;
  }

  /** Values of points without a sink go nowhere. */
  direct(sinks: readonly (PointSink | undefined)[]): void {
    this.#sinks = sinks;
    this.isConnected = false;
  }

  isOf({ descriptor, dataPoints }: MetricData, { resource, isHost, scope }: MetricPlace): boolean {
    if (this.descriptor !== descriptor || this.count !== dataPoints.length) return false;
    return this.place.resource === resource && this.place.scope === scope && this.place.isHost === isHost;
  }
}
