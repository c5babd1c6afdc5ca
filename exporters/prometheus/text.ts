import { Buffer } from 'node:buffer';
import { MAX_NUMBER_BYTES } from '../wire/number-text.ts';
import type { Exposition } from './exposition.ts';
import { isSameNumber } from './line-table.ts';
import { writeSpelled } from './numbers.ts';
import type { PageEncoder } from './pages.ts';
import { TextLayout } from './text-layout.ts';
import type { TextDialect } from './text-lines.ts';

/** Room for numbers to grow, as a factor. */
const HEADROOM = 1.0625;
/** Room that is so many times larger than what it is for is given up. */
const WASTEFUL = 4;
const FIRST_PAGE_BYTES = 64 * 1024;

/**
 * Writes pages of text. It keeps the last page and the place of every number on it: while the lines stay the same, the next page
 * is that page with the changed numbers replaced, everything between them copied as bytes. When lines come and go, only the families
 * they belong to are written anew.
 */
export class TextPageEncoder implements PageEncoder {
  readonly #layout: TextLayout;
  #page: Buffer = Buffer.alloc(0);
  #spare: Buffer | undefined;
  #revision = -1;
  /** Room for the numbers that change: their indexes, new lengths and text, and which of them change their length. */
  #changed = new Uint32Array(0);
  #newLengths = new Uint8Array(0);
  #moved = new Uint32Array(0);
  #scratch = new Uint8Array(0);

  constructor(dialect: TextDialect) {
    this.#layout = new TextLayout(dialect);
  }

  /** The page for the present values. It is not written to again before it is recycled; the same buffer means nothing changed. */
  encode(exposition: Exposition): Buffer {
    if (this.#revision === exposition.revision) this.#replaceNumbers(exposition.cells);
    else this.#layOut(exposition);
    this.#revision = exposition.revision;
    return this.#page;
  }

  recycle(bytes: Uint8Array): void {
    if (bytes.buffer !== this.#page.buffer) this.#spare = Buffer.from(bytes.buffer);
  }

  #layOut(exposition: Exposition): void {
    const before = this.#page;
    const memory = this.#memoryFor(before.length === 0 ? FIRST_PAGE_BYTES : before.length);
    this.#page = this.#layout.page(exposition, { before, memory });
  }

  #replaceNumbers(cells: Float64Array): void {
    this.#makeRoom(this.#layout.lines.cells.length);
    const changed = this.#writeChanged(cells);
    if (changed === 0) return;
    const { moved, growth } = this.#measure(changed);
    const before = this.#page;
    const size = before.length + growth;
    const page = this.#memoryFor(size).subarray(0, size);
    this.#copyText(before, page, moved);
    this.#placeNumbers(page, changed);
    this.#page = page;
  }

  /** For so many numbers to change. */
  #makeRoom(lines: number): void {
    const room = this.#changed.length;
    if (lines <= room && lines * WASTEFUL >= room) return;
    this.#changed = new Uint32Array(lines);
    this.#newLengths = new Uint8Array(lines);
    this.#moved = new Uint32Array(lines);
    this.#scratch = new Uint8Array(lines * MAX_NUMBER_BYTES);
  }

  /** Fresh memory of this size costs more than writing it: the kernel hands it out, and zeroes it, page by page. */
  #memoryFor(size: number): Buffer {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined && spare.length >= size && spare.length < size * 2) return spare;
    return Buffer.allocUnsafeSlow(Math.ceil(size * HEADROOM));
  }

  /** Writes the numbers that are not the same any more into the scratch buffer; returns how many there are. */
  #writeChanged(cells: Float64Array): number {
    const { cells: places, values, isPython, count } = this.#layout.lines;
    const scratch = this.#scratch;
    const changedIndexes = this.#changed;
    const newLengths = this.#newLengths;
    let changed = 0;
    let position = 0;
    for (let index = 0; index < count; index += 1) {
      const value = cells[places[index] ?? 0] ?? Number.NaN;
      if (isSameNumber(value, values[index] ?? Number.NaN)) continue;
      values[index] = value;
      const end = writeSpelled(scratch, position, value, isPython[index] === 1);
      changedIndexes[changed] = index;
      newLengths[changed] = end - position;
      changed += 1;
      position = end;
    }
    return changed;
  }

  /** How many of the changed numbers also changed their length, and by how much the page grows. */
  #measure(changed: number): { readonly moved: number; readonly growth: number } {
    const { lengths } = this.#layout.lines;
    let moved = 0;
    let growth = 0;
    for (let position = 0; position < changed; position += 1) {
      const difference = (this.#newLengths[position] ?? 0) - (lengths[this.#changed[position] ?? 0] ?? 0);
      if (difference === 0) continue;
      growth += difference;
      this.#moved[moved] = position;
      moved += 1;
    }
    return { moved, growth };
  }

  /** Copies everything between the numbers that changed their length, each time as far as possible. */
  #copyText(before: Buffer, page: Buffer, moved: number): void {
    const { starts, lengths } = this.#layout.lines;
    let from = 0;
    let to = 0;
    for (let position = 0; position < moved; position += 1) {
      const place = this.#moved[position] ?? 0;
      const index = this.#changed[place] ?? 0;
      const start = starts[index] ?? 0;
      before.copy(page, to, from, start);
      to += start - from + (this.#newLengths[place] ?? 0);
      from = start + (lengths[index] ?? 0);
    }
    before.copy(page, to, from, before.length);
  }

  /** Puts the changed numbers where they belong now, and remembers where that is. */
  #placeNumbers(page: Buffer, changed: number): void {
    const { starts, lengths, count } = this.#layout.lines;
    const scratch = this.#scratch;
    let shift = 0;
    let next = 0;
    let read = 0;
    for (let index = 0; index < count; index += 1) {
      const start = (starts[index] ?? 0) + shift;
      starts[index] = start;
      if (next === changed || this.#changed[next] !== index) continue;
      const length = this.#newLengths[next] ?? 0;
      for (let offset = 0; offset < length; offset += 1) page[start + offset] = scratch[read + offset] ?? 0;
      read += length;
      shift += length - (lengths[index] ?? 0);
      lengths[index] = length;
      next += 1;
    }
  }
}
