import type { Attributes, HrTime } from '@opentelemetry/api';
import type { ProtobufWriter } from '../wire/protobuf-writer.ts';
import { BYTES, FIXED64, VARINT } from '../wire/protobuf-writer.ts';

/** Field numbers are those of opentelemetry-proto 1.x: common.proto, resource.proto and metrics.proto. */
export function writeAttributes(writer: ProtobufWriter, field: number, attributes: object): void {
  for (const [key, value] of Object.entries(attributes)) {
    writer.message(field, () => {
      writer.string(1, key);
      writer.message(2, () => writeAnyValue(writer, value));
    });
  }
}

function writeAnyValue(writer: ProtobufWriter, value: unknown): void {
  if (typeof value === 'string') {
    writer.string(1, value);
  } else if (typeof value === 'boolean') {
    writer.tag(2, VARINT);
    writer.varint(value ? 1 : 0);
  } else if (typeof value === 'number') {
    writeNumberValue(writer, value);
  } else if (typeof value === 'object' && value !== null) {
    writeObjectValue(writer, value);
  }
}

function writeNumberValue(writer: ProtobufWriter, value: number): void {
  if (isInt64(value)) {
    writer.tag(3, VARINT);
    writer.varint(value);
  } else {
    writer.tag(4, FIXED64);
    writer.double(value);
  }
}

function writeObjectValue(writer: ProtobufWriter, value: object): void {
  if (value instanceof Uint8Array) {
    writer.tag(7, BYTES);
    writer.lengthAndBytes(value);
  } else if (Array.isArray(value)) {
    writer.message(5, () => {
      for (const item of value) writer.message(1, () => writeAnyValue(writer, item));
    });
  } else {
    writer.message(6, () => writeAttributes(writer, 1, value));
  }
}

/** An integer that does not fit into 64 bits is written as a double. */
const INT64_LIMIT = 2 ** 63;

function isInt64(value: number): boolean {
  return Number.isInteger(value) && value >= -INT64_LIMIT && value < INT64_LIMIT;
}

/** Nanoseconds since the epoch as two 32-bit words. All points of a cycle share one time, so the last one is kept. */
export class FixedTime {
  low = 0;
  high = 0;
  #last: HrTime | undefined;

  set(time: HrTime): void {
    if (time === this.#last) return;
    this.#last = time;
    // 2^53 is too small for nanoseconds: seconds are taken apart in 16-bit halves, whose products are exact.
    const lowProduct = (time[0] & 0xffff) * 1e9;
    const highProduct = ((time[0] / 0x1_0000) >>> 0) * 1e9;
    const sum = (lowProduct >>> 0) + (((highProduct & 0xffff) * 0x1_0000) >>> 0) + time[1];
    this.low = sum >>> 0;
    this.high = (Math.floor(lowProduct / 0x1_0000_0000) + ((highProduct / 0x1_0000) >>> 0) + Math.floor(sum / 0x1_0000_0000)) >>> 0;
  }
}

/** Attributes may be cached by identity only if they can never change. */
export function isImmutable(attributes: Attributes): boolean {
  return Object.isFrozen(attributes) && Object.values(attributes).every((value) => typeof value !== 'object');
}

/** Names and values, one after the other; undefined when a value is an object, whose own change would not be seen. */
export function scalarsOf(attributes: Attributes): readonly unknown[] | undefined {
  const scalars = Object.entries(attributes).flat();
  return scalars.some((value) => typeof value === 'object') ? undefined : scalars;
}
