import type { Resource } from '@opentelemetry/resources';
import type { MetricData } from '@opentelemetry/sdk-metrics';
import type { MetricPlace, PointSegment } from './point-segment.ts';
import type { PointTable } from './point-table.ts';

/** Segments that are to be found again, each at most once. */
export class SegmentPool<Known> {
  readonly #table: PointTable;
  /** Last one first: what is looked for is mostly the next one, at the end of the array. */
  readonly #left = new Map<Resource, PointSegment<Known>[]>();

  constructor(segments: readonly PointSegment<Known>[], table: PointTable) {
    this.#table = table;
    for (let index = segments.length - 1; index >= 0; index -= 1) {
      const segment = segments[index];
      if (segment === undefined) continue;
      const others = this.#left.get(segment.place.resource);
      if (others === undefined) this.#left.set(segment.place.resource, [segment]);
      else others.push(segment);
    }
  }

  /** The segment of a metric that is still at its place and has the points it had. */
  take(metric: MetricData, place: MetricPlace): PointSegment<Known> | undefined {
    const left = this.#left.get(place.resource) ?? [];
    for (let index = left.length - 1; index >= 0; index -= 1) {
      const segment = left[index];
      if (segment?.isOf(metric, place) !== true || !this.#table.has(segment.first, metric.dataPoints)) continue;
      left.copyWithin(index, index + 1);
      left.pop();
      return segment;
    }
    return undefined;
  }
}
