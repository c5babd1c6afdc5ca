/** One number of a page. */
export interface PlacedNumber {
  readonly cell: number;
  readonly value: number;
  readonly isPython: boolean;
  /** Where it stands on the page, and how long it is. */
  readonly start: number;
  readonly length: number;
}

/** The numbers of a page of text, in its order; of each array the first `count` elements. */
export class LineTable {
  count = 0;
  cells = new Uint32Array(0);
  values = new Float64Array(0);
  isPython = new Uint8Array(0);
  starts = new Uint32Array(0);
  lengths = new Uint8Array(0);

  /** Room stays for as many numbers as there were, but not for many times more. */
  clear(): void {
    if (this.cells.length > Math.max(64, this.count * 4)) this.#resize(0);
    this.count = 0;
  }

  add({ cell, value, isPython, start, length }: PlacedNumber): void {
    const index = this.count++;
    if (index === this.cells.length) this.#resize(Math.max(64, Math.ceil(index * 1.5)));
    this.cells[index] = cell;
    this.values[index] = value;
    this.isPython[index] = isPython ? 1 : 0;
    this.starts[index] = start;
    this.lengths[index] = length;
  }

  /** Where the line of a number ends, its line end included. */
  endOf(index: number): number {
    return (this.starts[index] ?? 0) + (this.lengths[index] ?? 0) + 1;
  }

  #resize(capacity: number): void {
    this.cells = resized(this.cells, new Uint32Array(capacity));
    this.values = resized(this.values, new Float64Array(capacity));
    this.isPython = resized(this.isPython, new Uint8Array(capacity));
    this.starts = resized(this.starts, new Uint32Array(capacity));
    this.lengths = resized(this.lengths, new Uint8Array(capacity));
  }
}

/** Whether two numbers look the same on a page. */
export function isSameNumber(a: number, b: number): boolean {
  // The second part: NaN is still NaN.
  // oxlint-disable-next-line no-self-compare
  return a === b || (a !== a && b !== b);
}

function resized<T extends Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(before: T, after: T): T {
  after.set(before.subarray(0, after.length));
  return after;
}
