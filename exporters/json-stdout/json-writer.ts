const FIRST_CAPACITY = 16 * 1024;
/** The longest text of a number: `-1.2345678901234567e-308`. */
const MAX_NUMBER_LENGTH = 32;
/** Go's encoding/json escapes these so that JSON can stand in HTML and in JavaScript. */
const HTML_SPECIAL = /[<>&\u2028\u2029]/g;
const ZERO = 0x30;
const QUOTE = 0x22;

/** Writes JSON's values, spelled as Go's encoding/json spells them, as UTF-8 into one growing buffer. */
export class JsonWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = FIRST_CAPACITY) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
  }

  /** What was written; valid until the next write. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Bytes the buffer has grown to. */
  get capacity(): number {
    return this.#bytes.length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** One ASCII character, by its code. */
  byte(code: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = code;
  }

  /** Few bytes: a loop is faster than a call of `set`. */
  raw(source: Uint8Array): void {
    const count = source.length;
    this.#reserve(count);
    const bytes = this.#bytes;
    const start = this.#length;
    for (let index = 0; index < count; index += 1) bytes[start + index] = source[index] ?? 0;
    this.#length = start + count;
  }

  /** ASCII without anything to escape. */
  ascii(text: string): void {
    const count = text.length;
    this.#reserve(count);
    const bytes = this.#bytes;
    const start = this.#length;
    for (let index = 0; index < count; index += 1) bytes[start + index] = text.charCodeAt(index);
    this.#length = start + count;
  }

  /** JavaScript and Go agree on shortest digits and on when to use an exponent (below 1e-6, from 1e21). JSON has no infinity. */
  number(value: number): void {
    if (!Number.isFinite(value)) return this.ascii('null');
    this.#reserve(MAX_NUMBER_LENGTH);
    const size = Math.abs(value);
    if (value < 0 || Object.is(value, -0)) this.#bytes[this.#length++] = 0x2d;
    if (Number.isSafeInteger(size)) return this.#digits(size, digitCount(size));
    // A decimal of up to 15 digits is the shortest text of the number nearest to it.
    const hundredths = Math.round(size * 100);
    if (hundredths < 1e15 && hundredths / 100 === size) this.#decimal(hundredths);
    else this.ascii(String(size));
  }

  string(text: string): void {
    const count = text.length;
    this.#reserve(count + 2);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = QUOTE;
    for (let index = 0; index < count; index += 1) {
      const code = text.charCodeAt(index);
      if (!isPlain(code)) return this.#escaped(text);
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    this.#length = at;
  }

  #escaped(text: string): void {
    const json = JSON.stringify(text).replaceAll(
      HTML_SPECIAL,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    this.#reserve(Buffer.byteLength(json));
    this.#length += this.#bytes.write(json, this.#length);
  }

  /** A number that has one or two decimals. */
  #decimal(hundredths: number): void {
    const whole = Math.floor(hundredths / 100);
    const fraction = hundredths - whole * 100;
    this.#digits(whole, digitCount(whole));
    this.#bytes[this.#length++] = 0x2e;
    if (fraction % 10 === 0) this.#digits(fraction / 10, 1);
    else this.#digits(fraction, 2);
  }

  /** The last `count` digits of a whole number. */
  #digits(value: number, count: number): void {
    const bytes = this.#bytes;
    let rest = value;
    for (let at = this.#length + count - 1; at >= this.#length; at -= 1) {
      const next = Math.floor(rest / 10);
      bytes[at] = ZERO + (rest - next * 10);
      rest = next;
    }
    this.#length += count;
  }

  #reserve(size: number): void {
    const needed = this.#length + size;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** Stands for itself in a text of JSON. */
function isPlain(code: number): boolean {
  return code >= 0x20 && code < 0x7f && code !== QUOTE && code !== 0x5c && code !== 0x3c && code !== 0x3e && code !== 0x26;
}

function digitCount(value: number): number {
  let count = 1;
  for (let power = 10; value >= power; power *= 10) count += 1;
  return count;
}
