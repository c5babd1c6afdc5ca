import { withRoom } from '../wire/growing-buffer.ts';
import { MAX_NUMBER_BYTES, writeAscii, writeFinite } from '../wire/number-text.ts';

const FIRST_CAPACITY = 16 * 1024;
/** Go's encoding/json escapes these so that JSON can stand in HTML and in JavaScript. */
const HTML_SPECIAL = /[<>&\u2028\u2029]/g;
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
    this.#reserve(text.length);
    this.#length = writeAscii(this.#bytes, this.#length, text);
  }

  /** JavaScript and Go agree on shortest digits and on when to use an exponent (below 1e-6, from 1e21). JSON has no infinity. */
  number(value: number): void {
    if (!Number.isFinite(value)) return this.ascii('null');
    if (Object.is(value, -0)) return this.ascii('-0');
    this.#reserve(MAX_NUMBER_BYTES);
    this.#length = writeFinite(this.#bytes, this.#length, value);
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

  #reserve(size: number): void {
    this.#bytes = withRoom(this.#bytes, this.#length, size);
  }
}

/** Stands for itself in a text of JSON. */
function isPlain(code: number): boolean {
  return code >= 0x20 && code < 0x7f && code !== QUOTE && code !== 0x5c && code !== 0x3c && code !== 0x3e && code !== 0x26;
}
