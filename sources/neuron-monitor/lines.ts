/**
 * Longest line accepted, without its line end. 32 processes on a trn1n.32xlarge make lines of 444,521 bytes; 128 processes that each list
 * 128 cores would make about 7 MB.
 */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const BOM = [0xef, 0xbb, 0xbf] as const;
/** A line may be longer than the limit by a byte order mark and a carriage return before its end is seen. */
const SLACK_BYTES = BOM.length + 1;
const FIRST_BUFFER_BYTES = 64 * 1024;
const NO_BYTES = new Uint8Array(0);

/** One line without its end and without a byte order mark, or one loss. An `unterminated` line is the last one, which no LF ended. */
export type LineEvent =
  | { readonly kind: 'line'; readonly bytes: Uint8Array }
  | { readonly kind: 'unterminated'; readonly bytes: Uint8Array }
  | { readonly kind: 'too_long' };

/**
 * `LineSplitter` cuts a byte stream into lines that end in LF or CRLF; empty lines are left out. A line over the limit is reported once and skipped
 * up to its LF, so memory stays within twice the limit whatever arrives. Bytes are never decoded here.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  /** The line under way. The event of its end holds this buffer itself, and a new one replaces it: bytes are copied at most once. */
  #held: Uint8Array = NO_BYTES;
  #heldBytes = 0;
  #capacityHint = FIRST_BUFFER_BYTES;
  #skipping = false;

  constructor(maxBytes: number = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Events of one chunk, lazily. Lines are views: of the chunk where they lie whole within it. */
  *push(chunk: Uint8Array): Generator<LineEvent, void> {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, from)) {
      const event = this.#finish(chunk.subarray(from, lf));
      from = lf + 1;
      if (event !== undefined) yield event;
    }
    if (from < chunk.length && !this.#hold(chunk.subarray(from))) yield { kind: 'too_long' };
  }

  /** Ends the stream. Returns the bytes after the last LF, if there are any: a writer may leave out the last line end. */
  end(): LineEvent | undefined {
    const bytes = this.#skipping ? NO_BYTES : trim(this.#held.subarray(0, this.#heldBytes));
    this.#drop();
    this.#skipping = false;
    if (bytes.length > this.#maxBytes) return { kind: 'too_long' };
    return bytes.length === 0 ? undefined : { kind: 'unterminated', bytes };
  }

  #finish(tail: Uint8Array): LineEvent | undefined {
    if (this.#skipping) {
      this.#skipping = false;
      return undefined;
    }
    if (this.#heldBytes > 0 && !this.#hold(tail)) {
      this.#skipping = false;
      return { kind: 'too_long' };
    }
    const bytes = trim(this.#heldBytes > 0 ? this.#held.subarray(0, this.#heldBytes) : tail);
    this.#drop();
    if (bytes.length > this.#maxBytes) return { kind: 'too_long' };
    return bytes.length === 0 ? undefined : { kind: 'line', bytes };
  }

  /** Keeps the bytes of an unfinished line; false, once for each line, when it grows over the limit. */
  #hold(bytes: Uint8Array): boolean {
    if (this.#skipping) return true;
    const length = this.#heldBytes + bytes.length;
    if (length > this.#maxBytes + SLACK_BYTES) {
      this.#drop();
      this.#skipping = true;
      return false;
    }
    if (length > this.#held.length) this.#grow(length);
    this.#held.set(bytes, this.#heldBytes);
    this.#heldBytes = length;
    return true;
  }

  #grow(length: number): void {
    const larger = new Uint8Array(Math.max(length, this.#capacityHint, 2 * this.#held.length));
    larger.set(this.#held.subarray(0, this.#heldBytes));
    this.#held = larger;
  }

  #drop(): void {
    if (this.#heldBytes === 0) return;
    this.#capacityHint = Math.max(FIRST_BUFFER_BYTES, Math.min(this.#heldBytes + FIRST_BUFFER_BYTES, this.#maxBytes));
    this.#held = NO_BYTES;
    this.#heldBytes = 0;
  }
}

function trim(line: Uint8Array): Uint8Array {
  const from = BOM.every((byte, index) => line[index] === byte) ? BOM.length : 0;
  const to = line.length > from && line[line.length - 1] === CR ? line.length - 1 : line.length;
  return line.subarray(from, to);
}
