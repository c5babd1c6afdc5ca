import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Family } from './family.ts';

/** The families of a page, kept up to date with the collections. */
export interface Exposition {
  readonly families: readonly Family[];
  /** Changes with the set of lines; the same revision means that only numbers changed. */
  readonly revision: number;
  /** What was left out: points with the same name and labels as another, names with two types. */
  readonly conflicts: readonly string[];
  update(collection: readonly ResourceMetrics[]): void;
}

/** Several expositions on one page; of two families with one name the first stays. */
export class JoinedExposition implements Exposition {
  families: readonly Family[] = [];
  conflicts: readonly string[] = [];
  readonly #parts: readonly Exposition[];
  #revision = 0;

  constructor(parts: readonly Exposition[]) {
    this.#parts = parts;
  }

  get revision(): number {
    return this.#revision;
  }

  update(collection: readonly ResourceMetrics[]): void {
    for (const part of this.#parts) part.update(collection);
    const revision = this.#parts.reduce((sum, part) => sum + part.revision, 0);
    if (revision === this.#revision) return;
    this.#revision = revision;
    const byName = new Map<string, Family>();
    const conflicts = this.#parts.flatMap((part) => part.conflicts);
    for (const family of this.#parts.flatMap((part) => part.families)) {
      if (byName.has(family.name)) conflicts.push(`${family.name}: the agent's own names and the legacy names both have it`);
      else byName.set(family.name, family);
    }
    this.families = [...byName.values()];
    this.conflicts = conflicts;
  }
}
