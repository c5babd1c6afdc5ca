import type { Attributes } from '@opentelemetry/api';
import type { InstrumentationScope } from '@opentelemetry/core';
import type { Resource } from '@opentelemetry/resources';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Refresh } from './exposition.ts';
import { NumberSeries } from './family.ts';
import { PointSegment } from './point-segment.ts';
import type { AnyPoint, MetricPlace } from './point-segment.ts';
import { PointTable } from './point-table.ts';
import { SegmentPool } from './segment-pool.ts';

/** What a part of the page has to know about a metric that is new to it. */
export type LearnMetric<Known> = (metric: MetricData, place: MetricPlace) => Known;

/**
 * Remembers which points a collection had and where their values go, so that the next collection only moves numbers, and one with
 * other points only costs what is new in it.
 */
export class PointPlan<Known = undefined> {
  /** One for each metric, in the order of the collection. */
  segments: readonly PointSegment<Known>[] = [];
  #resources: Resource[] = [];
  #scopes: InstrumentationScope[] = [];
  /** For each metric, how many resources and scopes had come by then: a metric may move to a neighbour that has the same points. */
  #owners: number[] = [];
  #descriptors: MetricData['descriptor'][] = [];
  #pointCounts: number[] = [];
  #points = new PointTable(0);
  #isConnected = true;
  #written: Float64Array | undefined;

  /** Moves the values of a collection to their sinks. */
  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh {
    if (cells !== this.#written || !this.#isConnected) this.#connect(cells);
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
          if (this.#pointCounts[metrics] !== dataPoints.length) return 'other';
          const outcome = this.#move(dataPoints, { metric: metrics++, first: points, cells });
          if (outcome === 'other') return 'other';
          isReshaped ||= outcome === 'reshaped';
          points += dataPoints.length;
        }
      }
    }
    if (resources !== this.#resources.length || scopes !== this.#scopes.length || metrics !== this.#descriptors.length) return 'other';
    return isReshaped ? 'reshaped' : 'same';
  }

  /** Learns a collection anew; a metric that had the same points at the same place before keeps its segment. */
  rebuild(collection: readonly ResourceMetrics[], learn: LearnMetric<Known>): void {
    const before = this.#points;
    const pool = new SegmentPool(this.segments, before);
    this.#points = new PointTable(this.#learnOrder(collection));
    const segments: PointSegment<Known>[] = [];
    let first = 0;
    let isHost = true;
    for (const { resource, scopeMetrics } of collection) {
      for (const { scope, metrics } of scopeMetrics) {
        const place = { resource, isHost, scope };
        for (const metric of metrics) {
          const known = pool.take(metric, place);
          if (known === undefined) this.#points.learn(first, metric.dataPoints);
          else this.#points.copy(first, metric.dataPoints, { table: before, first: known.first });
          const segment = known ?? new PointSegment(metric, { place, known: learn(metric, place) });
          segment.first = first;
          segments.push(segment);
          first += metric.dataPoints.length;
        }
      }
      isHost = false;
    }
    this.segments = segments;
    this.#isConnected = false;
  }

  attributesOf({ first, count }: PointSegment<Known>): readonly Attributes[] {
    return this.#points.attributes.slice(first, first + count);
  }

  /** Returns the number of points. */
  #learnOrder(collection: readonly ResourceMetrics[]): number {
    this.#resources = [];
    this.#scopes = [];
    this.#owners = [];
    this.#descriptors = [];
    this.#pointCounts = [];
    let points = 0;
    for (const { resource, scopeMetrics } of collection) {
      this.#resources.push(resource);
      for (const { scope, metrics } of scopeMetrics) {
        this.#scopes.push(scope);
        for (const { descriptor, dataPoints } of metrics) {
          this.#owners.push(this.#resources.length + this.#scopes.length);
          this.#descriptors.push(descriptor);
          this.#pointCounts.push(dataPoints.length);
          points += dataPoints.length;
        }
      }
    }
    return points;
  }

  /** Looks up the cells of sinks that are new, or of all when they were assigned anew: then nothing that was written is there any more. */
  #connect(cells: Float64Array): void {
    const isNew = cells !== this.#written;
    for (const segment of this.segments) {
      if (segment.isConnected && !isNew) continue;
      for (let position = 0; position < segment.count; position += 1) {
        const sink = segment.sinks[position];
        this.#points.cells[segment.first + position] = sink instanceof NumberSeries ? sink.cell : -1;
        this.#points.startTimes[segment.first + position] = undefined;
      }
      segment.isConnected = true;
    }
    this.#written = cells;
    this.#isConnected = true;
  }

  /** The loop every scrape spends its time in. */
  #move(dataPoints: readonly AnyPoint[], { metric, first, cells }: Move): Refresh {
    const known = this.#points.attributes;
    const ownCells = this.#points.cells;
    const startTimes = this.#points.startTimes;
    let isReshaped = false;
    for (let position = 0; position < dataPoints.length; position += 1) {
      const point = dataPoints[position];
      const index = first + position;
      if (point === undefined || (known[index] !== point.attributes && !this.#points.isSame(index, point.attributes))) return 'other';
      const { value, startTime } = point;
      const cell = ownCells[index] ?? -1;
      if (cell >= 0 && startTime === startTimes[index] && typeof value === 'number') {
        cells[cell] = value;
        continue;
      }
      if (this.segments[metric]?.sinks[position]?.take(value, startTime, cells) === true) isReshaped = true;
      startTimes[index] = startTime;
    }
    return isReshaped ? 'reshaped' : 'same';
  }
}

/** Which metric's points are to be moved, where they begin among all points, and where their values go. */
interface Move {
  readonly metric: number;
  readonly first: number;
  readonly cells: Float64Array;
}
