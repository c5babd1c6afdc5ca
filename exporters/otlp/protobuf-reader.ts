/** One field of a message: a number for varints and fixed widths, bytes for everything with a length. */
export interface ProtobufField {
  readonly number: number;
  readonly value: number | Buffer;
  /** Offsets of the begin and the end of the field in the message. */
  readonly start: number;
  readonly end: number;
}

/** The fields of a message, up to the first byte that is not protobuf. Integers beyond 2^53 lose their last digits. */
export function* protobufFields(bytes: Buffer): Iterable<ProtobufField> {
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    if (tag === undefined) return;
    const field = readValue(bytes, tag.end, tag.value % 8);
    if (field === undefined) return;
    yield { number: Math.floor(tag.value / 8), value: field.value, start: at, end: field.end };
    at = field.end;
  }
}

/** The last field of this number that has bytes. */
export function bytesField(bytes: Buffer, number: number): Buffer | undefined {
  let found: Buffer | undefined;
  for (const field of protobufFields(bytes)) if (field.number === number && typeof field.value !== 'number') found = field.value;
  return found;
}

/** The last field of this number that is a number. */
export function numberField(bytes: Buffer, number: number): number | undefined {
  let found: number | undefined;
  for (const field of protobufFields(bytes)) if (field.number === number && typeof field.value === 'number') found = field.value;
  return found;
}

interface Read<T> {
  readonly value: T;
  readonly end: number;
}

function readValue(bytes: Buffer, at: number, wireType: number): Read<number | Buffer> | undefined {
  if (wireType === 0) return readVarint(bytes, at);
  if (wireType === 1) return at + 8 > bytes.length ? undefined : { value: bytes.readDoubleLE(at), end: at + 8 };
  if (wireType === 5) return at + 4 > bytes.length ? undefined : { value: bytes.readUInt32LE(at), end: at + 4 };
  if (wireType !== 2) return undefined;
  const length = readVarint(bytes, at);
  if (length === undefined || length.value < 0 || length.end + length.value > bytes.length) return undefined;
  return { value: bytes.subarray(length.end, length.end + length.value), end: length.end + length.value };
}

function readVarint(bytes: Buffer, from: number): Read<number> | undefined {
  let value = 0;
  for (let at = from; at < bytes.length && at < from + 4; at += 1) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) << (7 * (at - from));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return readLongVarint(bytes, from);
}

/** Ten bytes hold a negative number in two's complement, which a double cannot add up. */
function readLongVarint(bytes: Buffer, from: number): Read<number> | undefined {
  let value = 0n;
  for (let at = from; at < bytes.length && at < from + 10; at += 1) {
    const byte = bytes[at] ?? 0;
    value |= BigInt(byte & 0x7f) << BigInt(7 * (at - from));
    if (byte < 0x80) return { value: Number(BigInt.asIntN(64, value)), end: at + 1 };
  }
  return undefined;
}
