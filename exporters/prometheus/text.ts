import { Buffer } from 'node:buffer';
import type { Exposition } from './exposition.ts';
import { MAX_NUMBER_BYTES, pythonNumber, writeAscii, writeNumber } from './numbers.ts';
import type { PageEncoder } from './pages.ts';
import { pageLines } from './text-lines.ts';
import type { TextDialect } from './text-lines.ts';

/** Room for numbers to grow, as a factor. */
const HEADROOM = 1.0625;

/**
 * Writes pages of text. It keeps the last page and the place of every number on it: while the lines stay the same, the next page
 * is that page with the changed numbers replaced, everything between them copied as bytes.
 */
export class TextPageEncoder implements PageEncoder {
  readonly #dialect: TextDialect;
  #page: Buffer = Buffer.alloc(0);
  #spare: Buffer | undefined;
  #revision = -1;
  #cells = new Uint32Array(0);
  #isPython = new Uint8Array(0);
  /** Where each number stands, how long it is, and which one it is. */
  #starts = new Uint32Array(0);
  #lengths = new Uint8Array(0);
  #values = new Float64Array(0);
  /** Room for the numbers that change: their indexes, new lengths and text, and which of them change their length. */
  #changed = new Uint32Array(0);
  #newLengths = new Uint8Array(0);
  #moved = new Uint32Array(0);
  #scratch = new Uint8Array(0);

  constructor(dialect: TextDialect) {
    this.#dialect = dialect;
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

  #replaceNumbers(cells: Float64Array): void {
    const changed = this.#writeChanged(cells);
    if (changed === 0) return;
    const { moved, growth } = this.#measure(changed);
    const before = this.#page;
    const page = this.#bufferOf(before.length + growth);
    this.#copyText(before, page, moved);
    this.#placeNumbers(page, changed);
    this.#page = page;
  }

  /** Fresh memory of this size costs more than writing it: the kernel hands it out, and zeroes it, page by page. */
  #bufferOf(size: number): Buffer {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined && spare.length >= size && spare.length < size * 2) return spare.subarray(0, size);
    return Buffer.allocUnsafeSlow(Math.ceil(size * HEADROOM)).subarray(0, size);
  }

  /** Writes the numbers that are not the same any more into the scratch buffer; returns how many there are. */
  #writeChanged(cells: Float64Array): number {
    let changed = 0;
    let position = 0;
    for (let index = 0; index < this.#values.length; index += 1) {
      const value = cells[this.#cells[index] ?? 0] ?? Number.NaN;
      const shown = this.#values[index] ?? Number.NaN;
      // The second part: NaN is still NaN.
      // oxlint-disable-next-line no-self-compare
      if (value === shown || (value !== value && shown !== shown)) continue;
      this.#values[index] = value;
      const end = this.#write(this.#scratch, position, index, value);
      this.#changed[changed] = index;
      this.#newLengths[changed] = end - position;
      changed += 1;
      position = end;
    }
    return changed;
  }

  /** How many of the changed numbers also changed their length, and by how much the page grows. */
  #measure(changed: number): { readonly moved: number; readonly growth: number } {
    let moved = 0;
    let growth = 0;
    for (let position = 0; position < changed; position += 1) {
      const difference = (this.#newLengths[position] ?? 0) - (this.#lengths[this.#changed[position] ?? 0] ?? 0);
      if (difference === 0) continue;
      growth += difference;
      this.#moved[moved] = position;
      moved += 1;
    }
    return { moved, growth };
  }

  /** Copies everything between the numbers that changed their length, each time as far as possible. */
  #copyText(before: Buffer, page: Buffer, moved: number): void {
    let from = 0;
    let to = 0;
    for (let position = 0; position < moved; position += 1) {
      const place = this.#moved[position] ?? 0;
      const index = this.#changed[place] ?? 0;
      const start = this.#starts[index] ?? 0;
      before.copy(page, to, from, start);
      to += start - from + (this.#newLengths[place] ?? 0);
      from = start + (this.#lengths[index] ?? 0);
    }
    before.copy(page, to, from, before.length);
  }

  /** Puts the changed numbers where they belong now, and remembers where that is. */
  #placeNumbers(page: Buffer, changed: number): void {
    const starts = this.#starts;
    const scratch = this.#scratch;
    let shift = 0;
    let next = 0;
    let read = 0;
    for (let index = 0; index < starts.length; index += 1) {
      const start = (starts[index] ?? 0) + shift;
      starts[index] = start;
      if (next === changed || this.#changed[next] !== index) continue;
      const length = this.#newLengths[next] ?? 0;
      for (let offset = 0; offset < length; offset += 1) page[start + offset] = scratch[read + offset] ?? 0;
      read += length;
      shift += length - (this.#lengths[index] ?? 0);
      this.#lengths[index] = length;
      next += 1;
    }
  }

  #write(page: Uint8Array, at: number, index: number, value: number): number {
    return this.#isPython[index] === 1 ? writeAscii(page, at, pythonNumber(value)) : writeNumber(page, at, value);
  }

  /** Writes every line anew and remembers where the numbers stand. */
  #layOut({ families, cells }: Exposition): void {
    const { lines, end } = pageLines(families, this.#dialect);
    this.#makeRoom(lines.length);
    let page = Buffer.allocUnsafeSlow(Math.max(64 * 1024, this.#page.length + 16 * 1024));
    let position = 0;
    const put = (text: string): void => {
      const most = position + text.length * 3 + MAX_NUMBER_BYTES;
      if (most > page.length) page = grown(page, Math.max(most, page.length * 2));
      position += page.write(text, position);
    };
    for (const [index, { before, cell, isPython }] of lines.entries()) {
      put(index === 0 ? before : `\n${before}`);
      const value = cells[cell] ?? Number.NaN;
      this.#cells[index] = cell;
      this.#isPython[index] = isPython ? 1 : 0;
      this.#starts[index] = position;
      position = this.#write(page, position, index, value);
      this.#lengths[index] = position - (this.#starts[index] ?? 0);
      this.#values[index] = value;
    }
    put(lines.length === 0 ? end : `\n${end}`);
    this.#page = page.subarray(0, position);
  }

  #makeRoom(lines: number): void {
    this.#cells = new Uint32Array(lines);
    this.#isPython = new Uint8Array(lines);
    this.#starts = new Uint32Array(lines);
    this.#lengths = new Uint8Array(lines);
    this.#values = new Float64Array(lines);
    this.#changed = new Uint32Array(lines);
    this.#newLengths = new Uint8Array(lines);
    this.#moved = new Uint32Array(lines);
    this.#scratch = new Uint8Array(lines * MAX_NUMBER_BYTES);
  }
}

function grown(page: Buffer, size: number): Buffer<ArrayBuffer> {
  const larger = Buffer.allocUnsafeSlow(size);
  page.copy(larger);
  return larger;
}
