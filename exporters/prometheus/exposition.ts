import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { Cells } from './cells.ts';
import type { Family } from './family.ts';

/** What a look at a collection found: only numbers changed, histograms have other buckets, or there are other points. */
export type Refresh = 'same' | 'reshaped' | 'other';

/** Families from one point of view: the agent's own names, the legacy names, the agent's process. */
export interface ExpositionPart {
  readonly families: readonly Family[];
  /** What was left out: points with the same name and labels as another, names with two types. */
  readonly conflicts: readonly string[];
  /** Writes the numbers of a collection into their cells; when the outcome is not `same` the cells are worth nothing. */
  refresh(collection: readonly ResourceMetrics[], cells: Float64Array): Refresh;
  /** Learns the points of a collection anew. */
  rebuild(collection: readonly ResourceMetrics[]): void;
}

/** Points are learned in one round; histograms then tell their buckets when they are looked at, and get cells for them in another. */
const MAX_ROUNDS = 3;

/** The families of a page and their numbers, kept up to date with the collections. */
export class Exposition {
  families: readonly Family[] = [];
  conflicts: readonly string[] = [];
  /** Changes with the set of lines; the same revision means that only numbers changed. */
  revision = 0;
  readonly #parts: readonly ExpositionPart[];
  readonly #cells = new Cells();

  /** Of two families with one name, that of the earlier part stays. */
  constructor(parts: readonly ExpositionPart[]) {
    this.#parts = parts;
  }

  get cells(): Float64Array {
    return this.#cells.numbers;
  }

  update(collection: readonly ResourceMetrics[]): void {
    let outcomes = this.#refresh(collection);
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      if (this.revision > 0 && outcomes.every((outcome) => outcome === 'same')) return;
      for (const [index, part] of this.#parts.entries()) if (outcomes[index] === 'other') part.rebuild(collection);
      this.#showFamilies();
      outcomes = this.#refresh(collection);
    }
  }

  #refresh(collection: readonly ResourceMetrics[]): readonly Refresh[] {
    return this.#parts.map((part) => part.refresh(collection, this.cells));
  }

  #showFamilies(): void {
    const families = this.#parts.flatMap((part) => part.families);
    this.#cells.place(families);
    const byName = new Map<string, Family>();
    const conflicts = this.#parts.flatMap((part) => part.conflicts);
    for (const family of families) {
      if (byName.has(family.name)) conflicts.push(`${family.name}: the agent's own names and the legacy names both have it`);
      else byName.set(family.name, family);
    }
    this.families = [...byName.values()];
    this.conflicts = conflicts;
    this.revision += 1;
  }
}
