import type { Attributes, HrTime } from '@opentelemetry/api';
import type { AnyPoint } from './point-segment.ts';

/**
 * What it takes to move the values of points, in the order of the collection. Arrays for all points together: what belongs to one
 * metric is mostly a few points, and fetching an object for each metric would take longer than moving its numbers. Attribute objects
 * of the series store never change identity, those of SDK instruments may and are compared.
 */
export class PointTable {
  readonly attributes: Attributes[] = [];
  /** The cell of a point, when that is all there is to it. */
  readonly cells: Int32Array;
  /** The start time that is already in place. */
  readonly startTimes: (HrTime | undefined)[] = [];

  constructor(size: number) {
    this.cells = new Int32Array(size);
    // Growing by and by would leave arrays of all sizes behind.
    this.attributes.length = size;
    this.startTimes.length = size;
  }

  /** Whether the points from `first` on are these. */
  has(first: number, points: readonly AnyPoint[]): boolean {
    for (let position = 0; position < points.length; position += 1) {
      const attributes = points[position]?.attributes;
      if (attributes === undefined) return false;
      if (this.attributes[first + position] !== attributes && !this.isSame(first + position, attributes)) return false;
    }
    return true;
  }

  /** Compares what the attributes say, and remembers the new object: the next collection may have it too. */
  isSame(index: number, attributes: Attributes): boolean {
    const known = this.attributes[index];
    if (known === undefined || !haveSameContent(known, attributes)) return false;
    this.attributes[index] = attributes;
    return true;
  }

  /** Nothing is known of these points but their attributes. */
  learn(at: number, points: readonly AnyPoint[]): void {
    for (let position = 0; position < points.length; position += 1) {
      const attributes = points[position]?.attributes;
      if (attributes === undefined) continue;
      this.attributes[at + position] = attributes;
      this.cells[at + position] = -1;
      this.startTimes[at + position] = undefined;
    }
  }

  /** These points stood in a table before. */
  copy(at: number, points: readonly AnyPoint[], { table, first }: { readonly table: PointTable; readonly first: number }): void {
    this.learn(at, points);
    for (let position = 0; position < points.length; position += 1) {
      this.cells[at + position] = table.cells[first + position] ?? -1;
      this.startTimes[at + position] = table.startTimes[first + position];
    }
  }
}

function haveSameContent(a: Attributes, b: Attributes): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
