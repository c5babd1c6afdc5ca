import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Refresh } from './exposition.ts';
import { PointSegment } from './point-segment.ts';
import type { MetricPlace } from './point-segment.ts';

/** What a part of the page has to know about a metric that is new to it. */
export type LearnMetric<Known> = (metric: MetricData, place: MetricPlace) => Known;

/**
 * Remembers which points a collection had and where their values go, so that the next collection only moves numbers, and one with
 * other points only costs what is new in it.
 */
export class PointPlan<Known = undefined> {
  /** In the order of the collection. */
  segments: readonly PointSegment<Known>[] = [];
  #host: Resource | undefined;

  /** Moves the values of a collection to their sinks. */
  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh {
    if (collection[0]?.resource !== this.#host) return 'other';
    let next = 0;
    let isHost = true;
    let isReshaped = false;
    for (const { resource, scopeMetrics } of collection) {
      for (const { scope, metrics } of scopeMetrics) {
        const place = { resource, isHost, scope };
        for (const metric of metrics) {
          const segment = this.segments[next++];
          if (segment?.descriptor !== metric.descriptor || !segment.isAt(place)) return 'other';
          const outcome = segment.move(metric.dataPoints, cells);
          if (outcome === 'other') return 'other';
          isReshaped ||= outcome === 'reshaped';
        }
      }
      isHost = false;
    }
    if (next !== this.segments.length) return 'other';
    return isReshaped ? 'reshaped' : 'same';
  }

  /** Learns a collection anew; a metric that had the same points at the same place before keeps its segment. */
  rebuild(collection: readonly ResourceMetrics[], learn: LearnMetric<Known>): void {
    const before = new SegmentPool(this.segments);
    const segments: PointSegment<Known>[] = [];
    let isHost = true;
    for (const { resource, scopeMetrics } of collection) {
      for (const { scope, metrics } of scopeMetrics) {
        const place = { resource, isHost, scope };
        for (const metric of metrics) {
          segments.push(before.take(metric, place) ?? new PointSegment(metric, { place, known: learn(metric, place) }));
        }
      }
      isHost = false;
    }
    this.segments = segments;
    this.#host = collection[0]?.resource;
  }
}

/** Segments that are to be found again, each at most once. */
class SegmentPool<Known> {
  /** Last one first: what is looked for is mostly the next one, at the end of the array. */
  readonly #left = new Map<Resource, PointSegment<Known>[]>();

  constructor(segments: readonly PointSegment<Known>[]) {
    for (let index = segments.length - 1; index >= 0; index -= 1) {
      const segment = segments[index];
      if (segment === undefined) continue;
      const others = this.#left.get(segment.place.resource);
      if (others === undefined) this.#left.set(segment.place.resource, [segment]);
      else others.push(segment);
    }
  }

  take(metric: MetricData, place: MetricPlace): PointSegment<Known> | undefined {
    const left = this.#left.get(place.resource) ?? [];
    for (let index = left.length - 1; index >= 0; index -= 1) {
      const segment = left[index];
      if (segment?.isAt(place) !== true || !segment.has(metric)) continue;
      left.copyWithin(index, index + 1);
      left.pop();
      return segment;
    }
    return undefined;
  }
}
