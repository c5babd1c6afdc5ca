import { cellCount } from './family.ts';
import type { Family } from './family.ts';

/** Room for families to come, as a factor. */
const HEADROOM = 1.25;

/**
 * The numbers of a page in one array: those of a family in a row, families mostly in the order of the page, so that moving ten
 * thousand numbers touches memory in a row, not ten thousand objects.
 */
export class Cells {
  /** Becomes another array when families move. */
  numbers = new Float64Array(0);
  #end = 0;
  #placed: ReadonlySet<Family> = new Set();

  /** Gives families their cells. Those that have all they need keep them, as long as there is room for the others. */
  place(families: readonly Family[]): void {
    const added = families.filter((family) => !this.#placed.has(family) || lacksCells(family));
    if (this.#end + cellsOf(added) <= this.numbers.length) {
      for (const family of added) this.#append(family);
    } else {
      this.numbers = new Float64Array(Math.ceil(cellsOf(families) * HEADROOM));
      this.#end = 0;
      for (const family of families) this.#append(family);
    }
    this.#placed = new Set(families);
  }

  // Loops by index here and below: they do not run often enough to be compiled, and iterators would be garbage until then.
  #append(family: Family): void {
    for (let index = 0; index < family.series.length; index += 1) {
      const series = family.series[index];
      if (series === undefined) continue;
      series.cell = this.#end;
      this.#end += cellCount(family, series);
    }
  }
}

/** Only histograms come to need other cells than they have. */
function lacksCells({ type, series }: Family): boolean {
  return type === 'histogram' && series.some(({ cell }) => cell < 0);
}

function cellsOf(families: readonly Family[]): number {
  let cells = 0;
  for (const family of families) {
    for (let index = 0; index < family.series.length; index += 1) {
      const series = family.series[index];
      if (series !== undefined) cells += cellCount(family, series);
    }
  }
  return cells;
}
