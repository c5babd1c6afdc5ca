import type { Attributes, HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import { secondsOf } from './family.ts';
import type { Series } from './family.ts';
import type { PointSink } from './point-segment.ts';

/** How the values of several processes become one: `total` is a sum that keeps what processes that ended had added. */
export type Fold = 'total' | 'sum' | 'mean';

/** Ended contributors a line remembers one by one, in case they come back; older ones become one number. */
const MAX_REMEMBERED = 64;

/** One series of a legacy page; several points may contribute to its value. */
export class LegacyLine implements Series {
  readonly labelText: string;
  readonly bounds = undefined;
  cell = -1;
  readonly #fold: Fold;
  readonly #cap: number;
  readonly #hasCreated: boolean;
  readonly #contributions: Contribution[] = [];
  readonly #ended = new Map<Attributes, number>();
  #forgotten = 0;
  #createdSeconds = Number.POSITIVE_INFINITY;
  #sum = 0;
  #contributors = 0;
  #lastContributor: Resource | undefined;

  constructor(labelText: string, options: { readonly fold: Fold; readonly cap: number | undefined; readonly hasCreated: boolean }) {
    this.labelText = labelText;
    this.#fold = options.fold;
    this.#cap = options.cap ?? Number.POSITIVE_INFINITY;
    this.#hasCreated = options.hasCreated;
  }

  join(contribution: Contribution): void {
    this.#contributions.push(contribution);
  }

  begin(): void {
    this.#sum = this.#forgotten;
    for (const value of this.#ended.values()) this.#sum += value;
    this.#contributors = 0;
    this.#lastContributor = undefined;
    this.#createdSeconds = Number.POSITIVE_INFINITY;
  }

  /** Points of one process are always added: the mapping folds them into one series. */
  add(value: number, startTime: HrTime, contributor: Resource): void {
    this.#sum += value;
    if (this.#lastContributor !== contributor) this.#contributors += 1;
    this.#lastContributor = contributor;
    this.#createdSeconds = Math.min(this.#createdSeconds, secondsOf(startTime));
  }

  /** Writes what came together since `begin`. */
  end(cells: Float64Array): void {
    const value = this.#fold === 'mean' && this.#contributors > 1 ? this.#sum / this.#contributors : this.#sum;
    cells[this.cell] = Math.min(value, this.#cap);
    if (this.#hasCreated) cells[this.cell + 1] = this.#createdSeconds;
  }

  /** Takes over what the line of the same labels had from contributors that are not here any more. */
  follow(before: LegacyLine | undefined): void {
    if (this.#fold !== 'total' || before === undefined) return;
    const present = new Set(this.#contributions.map(({ attributes }) => attributes));
    const endedNow = before.#contributions.map(({ attributes, value }) => [attributes, value] as const);
    this.#forgotten = before.#forgotten;
    for (const [attributes, value] of [...before.#ended, ...endedNow]) if (!present.has(attributes)) this.#ended.set(attributes, value);
    for (const [attributes, value] of this.#ended) {
      if (this.#ended.size <= MAX_REMEMBERED) break;
      this.#ended.delete(attributes);
      this.#forgotten += value;
    }
  }
}

/** The way of one point into one line. */
export class Contribution implements PointSink {
  readonly attributes: Attributes;
  value = 0;
  readonly #line: LegacyLine;
  readonly #contributor: Resource;

  constructor(line: LegacyLine, attributes: Attributes, contributor: Resource) {
    this.#line = line;
    this.attributes = attributes;
    this.#contributor = contributor;
    line.join(this);
  }

  take(value: unknown, startTime: HrTime): boolean {
    if (typeof value !== 'number') return false;
    this.value = value;
    this.#line.add(value, startTime, this.#contributor);
    return false;
  }
}

/** The way of one point into several lines. */
export class Contributions implements PointSink {
  readonly #sinks: readonly Contribution[];

  constructor(sinks: readonly Contribution[]) {
    this.#sinks = sinks;
  }

  take(value: unknown, startTime: HrTime): boolean {
    for (const sink of this.#sinks) sink.take(value, startTime);
    return false;
  }
}
