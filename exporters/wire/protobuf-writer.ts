import { withRoom } from './growing-buffer.ts';

/** Bytes of an unsigned varint below 2^35, which covers every length and tag here. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/** Bytes of a message of this size with its length and a tag of one byte. */
export function sizeNested(size: number): number {
  return 1 + varintSize(size) + size;
}

/** Wire types of protobuf. */
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;

/** Writes protobuf into one growing buffer. */
export class ProtobufWriter {
  #bytes: Buffer;
  #length = 0;

  /** Writes into the given memory as far as it goes, or begins with so many bytes of its own. */
  constructor(memory: Buffer | number = 256) {
    this.#bytes = typeof memory === 'number' ? Buffer.allocUnsafeSlow(memory) : memory;
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes that were written; valid until the next write. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy that later writes do not touch. */
  take(): Buffer {
    const copy = Buffer.allocUnsafeSlow(this.#length);
    this.#bytes.copy(copy, 0, 0, this.#length);
    return copy;
  }

  clear(): void {
    this.#length = 0;
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  /** An unsigned integer, or a negative one in two's complement of 64 bits. */
  varint(value: number): void {
    if (value >= 0 && value < 0x80) {
      this.#reserve(1);
      this.#bytes[this.#length++] = value;
      return;
    }
    this.#reserve(10);
    let low = value >>> 0;
    let high = Math.floor(value / 0x1_0000_0000) >>> 0;
    while (high > 0 || low > 0x7f) {
      this.#bytes[this.#length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#bytes[this.#length++] = low;
  }

  sint32(value: number): void {
    this.varint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  double(value: number): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  fixed64(low: number, high: number): void {
    this.#reserve(8);
    this.#bytes.writeUInt32LE(low, this.#length);
    this.#length = this.#bytes.writeUInt32LE(high, this.#length + 4);
  }

  /** A non-negative integer as fixed64. */
  count64(value: number): void {
    this.fixed64(value >>> 0, (value / 0x1_0000_0000) >>> 0);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  lengthAndBytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  string(field: number, value: string): void {
    this.tag(field, BYTES);
    this.lengthAndBytes(Buffer.from(value));
  }

  /** A nested message: what `write` writes, with its length in front. */
  message(field: number, write: () => void): void {
    this.tag(field, BYTES);
    this.delimited(write);
  }

  /** Writes what `write` writes, with its length in front. */
  delimited(write: () => void): void {
    this.#reserve(1);
    const start = ++this.#length;
    write();
    const size = this.#length - start;
    const extra = varintSize(size) - 1;
    if (extra > 0) {
      this.#reserve(extra);
      this.#bytes.copyWithin(start + extra, start, this.#length);
    }
    this.#length = start - 1;
    this.varint(size);
    this.#length += size;
  }

  #reserve(size: number): void {
    this.#bytes = withRoom(this.#bytes, this.#length, size);
  }
}

/** Writes messages whose sizes are known, given in the order in which the messages begin, into one buffer of exactly their size. */
export class ProtobufOutput {
  readonly bytes: Buffer;
  readonly #sizes: readonly number[];
  #nextSize = 0;
  #position = 0;

  constructor(total: number, sizes: readonly number[]) {
    this.bytes = Buffer.allocUnsafe(total);
    this.#sizes = sizes;
  }

  /** Tag and length of the next message. */
  nested(field: number): void {
    let size = this.#sizes[this.#nextSize++] ?? 0;
    this.bytes[this.#position++] = field * 8 + BYTES;
    while (size > 0x7f) {
      this.bytes[this.#position++] = (size & 0x7f) | 0x80;
      size >>>= 7;
    }
    this.bytes[this.#position++] = size;
  }

  raw(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#position);
    this.#position += bytes.length;
  }
}
