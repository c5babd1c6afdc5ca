import type { Buffer } from 'node:buffer';
import { withRoom } from '../wire/growing-buffer.ts';
import { MAX_NUMBER_BYTES } from '../wire/number-text.ts';
import { isSameNumber } from './line-table.ts';
import type { LineTable } from './line-table.ts';
import { writeSpelled } from './numbers.ts';

/** Neighbouring lines of a page, comments before them included. */
export interface LineRange {
  readonly bytes: Buffer;
  readonly start: number;
  readonly lines: LineTable;
  readonly firstLine: number;
  readonly lineCount: number;
  /** What is to be added to the cells of the lines. */
  readonly cellShift: number;
}

/** Writes a page of text line by line, into memory that grows, and remembers the places of its numbers. */
export class LineWriter {
  readonly lines: LineTable;
  length = 0;
  #memory: Buffer;
  readonly #cells: Float64Array;

  /** Memory and table are written over. */
  constructor(memory: Buffer, { lines, cells }: { readonly lines: LineTable; readonly cells: Float64Array }) {
    this.#memory = memory;
    this.#cells = cells;
    this.lines = lines;
    lines.clear();
  }

  /** What was written. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.length);
  }

  text(text: string): void {
    this.#reserve(text.length * MAX_UTF8_BYTES);
    this.length += this.#memory.write(text, this.length);
  }

  /** The number of a cell, and the end of its line. */
  number(cell: number, isPython: boolean): void {
    this.#writeNumber(cell, this.#cells[cell] ?? Number.NaN, isPython);
    this.#reserve(1);
    this.#memory[this.length++] = LINE_END;
  }

  /** The lines of an earlier page, with the numbers of now. */
  copy({ bytes, start, lines, firstLine, lineCount, cellShift }: LineRange): void {
    let from = start;
    for (let index = firstLine; index < firstLine + lineCount; index += 1) {
      const cell = (lines.cells[index] ?? 0) + cellShift;
      const value = this.#cells[cell] ?? Number.NaN;
      const place = lines.starts[index] ?? 0;
      const length = lines.lengths[index] ?? 0;
      const isPython = lines.isPython[index] === 1;
      if (isSameNumber(value, lines.values[index] ?? Number.NaN)) {
        this.lines.add({ cell, value, isPython, start: this.length + place - from, length });
        continue;
      }
      this.#copyBytes(bytes, from, place);
      this.#writeNumber(cell, value, isPython);
      from = place + length;
    }
    this.#copyBytes(bytes, from, lines.endOf(firstLine + lineCount - 1));
  }

  #writeNumber(cell: number, value: number, isPython: boolean): void {
    this.#reserve(MAX_NUMBER_BYTES);
    const start = this.length;
    this.length = writeSpelled(this.#memory, start, value, isPython);
    this.lines.add({ cell, value, isPython, start, length: this.length - start });
  }

  #copyBytes(bytes: Buffer, from: number, to: number): void {
    this.#reserve(to - from);
    bytes.copy(this.#memory, this.length, from, to);
    this.length += to - from;
  }

  #reserve(size: number): void {
    this.#memory = withRoom(this.#memory, this.length, size, GROWTH);
  }
}

const LINE_END = 10;
/** Of one UTF-16 code unit. */
const MAX_UTF8_BYTES = 3;
const GROWTH = 1.5;
