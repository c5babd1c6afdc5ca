import type { Attributes, HrTime } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** A point of any kind, as far as a page needs it. */
export interface AnyPoint {
  readonly attributes: Attributes;
  readonly startTime: HrTime;
  readonly value: unknown;
}

/** Where the value of a point goes. */
export interface PointSink {
  /** True when the lines that show the value changed their shape. */
  take(value: unknown, startTime: HrTime): boolean;
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
  #descriptors: MetricData['descriptor'][] = [];
  #pointCounts: number[] = [];
  #attributes: Attributes[] = [];
  #sinks: (PointSink | undefined)[] = [];

  /** Moves the values of a collection into their sinks; false when the collection has other points than the plan. */
  refresh(collection: readonly ResourceMetrics[]): 'same' | 'reshaped' | 'other' {
    let resources = 0;
    let scopes = 0;
    let metrics = 0;
    let points = 0;
    let reshaped = false;
    for (const { resource, scopeMetrics } of collection) {
      if (this.#resources[resources++] !== resource) return 'other';
      for (const { scope, metrics: metricData } of scopeMetrics) {
        if (this.#scopes[scopes++] !== scope) return 'other';
        for (const { descriptor, dataPoints } of metricData) {
          if (this.#descriptors[metrics] !== descriptor || this.#pointCounts[metrics++] !== dataPoints.length) return 'other';
          for (const point of dataPoints) {
            if (!this.#isSame(points, point.attributes)) return 'other';
            if (this.#sinks[points++]?.take(point.value, point.startTime) === true) reshaped = true;
          }
        }
      }
    }
    if (resources !== this.#resources.length || scopes !== this.#scopes.length || metrics !== this.#descriptors.length) return 'other';
    return reshaped ? 'reshaped' : 'same';
  }

  /** Learns a collection anew. */
  rebuild(collection: readonly ResourceMetrics[], bind: BindPoint): void {
    this.#resources = [];
    this.#scopes = [];
    this.#descriptors = [];
    this.#pointCounts = [];
    this.#attributes = [];
    this.#sinks = [];
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
    this.#descriptors.push(descriptor);
    this.#pointCounts.push(dataPoints.length);
    for (const point of dataPoints) {
      const sink = bind(point, origin);
      sink?.take(point.value, point.startTime);
      this.#attributes.push(point.attributes);
      this.#sinks.push(sink);
    }
  }

  #isSame(index: number, attributes: Attributes): boolean {
    const known = this.#attributes[index];
    if (known === attributes) return true;
    if (known === undefined || !haveSameContent(known, attributes)) return false;
    this.#attributes[index] = attributes;
    return true;
  }
}

function haveSameContent(a: Attributes, b: Attributes): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
