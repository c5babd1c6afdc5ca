import { closeSync, openSync, readSync } from 'node:fs';
import { errnoName } from '../../src/file-error.ts';

/** A sysfs attribute. `descriptor` is kept open between reads while there are enough of them. */
export interface NodeFile {
  readonly path: string;
  descriptor: number | undefined;
}

export function nodeFile(path: string): NodeFile {
  return { path, descriptor: undefined };
}

/** An attribute of the driver is at most one page. */
const BUFFER_BYTES = 4096;
/** How many kept descriptors are given back when the process runs out of them. */
const GIVEN_BACK = 64;

/**
 * Reads attributes into one buffer: one `pread` each through kept descriptors, open-read-close for the rest.
 * The kernel renders an attribute anew whenever it is read from its start.
 */
export class NodeReader {
  readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #kept = new Set<NodeFile>();
  #maxKept: number;

  constructor(maxKept: number) {
    this.#maxKept = maxKept;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  /** Bytes now in `buffer`. Throws the file system's error; the next read opens the file anew. */
  read(file: NodeFile): number {
    const { descriptor } = file;
    if (descriptor === undefined) return this.#open(file);
    try {
      return readSync(descriptor, this.buffer, 0, BUFFER_BYTES, 0);
    } catch (thrown) {
      this.release(file);
      throw thrown;
    }
  }

  /** The whole attribute as text, without spaces at either end. */
  readText(file: NodeFile): string {
    const length = this.read(file);
    return this.buffer.toString('latin1', 0, length).trim();
  }

  release(file: NodeFile): void {
    const { descriptor } = file;
    if (descriptor === undefined) return;
    file.descriptor = undefined;
    this.#kept.delete(file);
    closeSync(descriptor);
  }

  releaseAll(): void {
    for (const file of this.#kept) this.release(file);
  }

  #open(file: NodeFile): number {
    const descriptor = this.#openDescriptor(file.path);
    try {
      return readSync(descriptor, this.buffer, 0, BUFFER_BYTES, 0);
    } finally {
      if (this.#kept.size < this.#maxKept) {
        file.descriptor = descriptor;
        this.#kept.add(file);
      } else {
        closeSync(descriptor);
      }
    }
  }

  /** Out of descriptors: others need them more, so some are given back and no more are kept. */
  #openDescriptor(path: string): number {
    try {
      return openSync(path, 'r');
    } catch (thrown) {
      const errno = errnoName(thrown);
      if ((errno !== 'EMFILE' && errno !== 'ENFILE') || this.#kept.size === 0) throw thrown;
      this.#maxKept = Math.max(0, this.#kept.size - GIVEN_BACK);
      for (const file of this.#kept) {
        if (this.#kept.size <= this.#maxKept) break;
        this.release(file);
      }
      return openSync(path, 'r');
    }
  }
}

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const LINE_FEED = 10;
/** Numbers this long are exact as doubles; longer ones go through bigint. */
const SAFE_DIGITS = 15;
/** The number before the last fifteen digits; below this the whole number is less than 2^53. */
const HIGH_IS_SAFE = 9;
const U64_MAX = 0xffff_ffff_ffff_ffffn;

/**
 * Parses the unsigned decimal number at the start of `bytes`, as the driver prints it: digits and one line end. Returns a number when a double holds it exactly, else a bigint; undefined for anything else, beyond 64 bits, or without a line end.
 */
export function parseDecimalLine(bytes: Uint8Array, length: number): number | bigint | undefined {
  let value = 0;
  let at = 0;
  while (at < length) {
    const byte = bytes[at];
    if (byte === undefined || byte < DIGIT_0 || byte > DIGIT_9) break;
    value = value * 10 + (byte - DIGIT_0);
    at += 1;
  }
  if (at === 0 || at !== length - 1 || bytes[at] !== LINE_FEED) return undefined;
  return at <= SAFE_DIGITS ? value : longDecimal(bytes, at);
}

/** Adds two numbers that are exact: most counters of this length still fit a double. */
function longDecimal(bytes: Uint8Array, digits: number): number | bigint | undefined {
  const high = digitsAt(bytes, 0, digits - SAFE_DIGITS);
  if (high < HIGH_IS_SAFE) return high * 10 ** SAFE_DIGITS + digitsAt(bytes, digits - SAFE_DIGITS, digits);
  const value = BigInt(String.fromCharCode(...bytes.subarray(0, digits)));
  if (value > U64_MAX) return undefined;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function digitsAt(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at += 1) value = value * 10 + ((bytes[at] ?? DIGIT_0) - DIGIT_0);
  return value;
}
