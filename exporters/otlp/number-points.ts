import type { Attributes } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import type { DataPoint, MetricDescriptor } from '@opentelemetry/sdk-metrics';
import type { EncodedPoints } from './plan.ts';
import { FixedTime, isImmutable, writeAttributes } from './protobuf-common.ts';
import { ProtobufWriter, varintSize } from '../wire/protobuf-writer.ts';

/**
 * `NumberDataPoint` as written here, after tag and length: 3 tags of one byte, each before 8 fixed bytes, then the attributes.
 * So a point whose attributes stay the same keeps its size, and only 24 of its bytes change.
 */
const START = 0;
const END = 9;
const VALUE = 18;
const FIXED_BYTES = 27;

const POINT_TAG = 0x0a;
const START_TAG = 0x11;
const END_TAG = 0x19;
const DOUBLE_TAG = 0x21;
const INT_TAG = 0x31;
const ATTRIBUTES_FIELD = 7;
const INT64_LIMIT = 2 ** 63;

/** Points of one gauge or sum. Their bytes are kept, and patched in place while the series stay the same. */
export class NumberPoints implements EncodedPoints {
  bytes = Buffer.alloc(0);
  /** Where each point begins; one more for the end. */
  offsets = new Uint32Array(1);
  readonly #isInt: boolean;
  /** Identity of each point's attributes; `undefined` where they could change without notice. */
  #attributes: (Attributes | undefined)[] = [];
  /** Where the fixed part of each point begins. */
  #bodies = new Uint32Array(0);
  #view = new DataView(this.bytes.buffer);
  readonly #start = new FixedTime();
  readonly #end = new FixedTime();

  constructor(descriptor: MetricDescriptor) {
    this.#isInt = descriptor.valueType === ValueType.INT;
  }

  /** Brings the bytes up to date with the points. */
  encode(points: readonly DataPoint<number>[]): void {
    if (!this.#fits(points)) this.#layOut(points);
    for (let index = 0; index < points.length; index += 1) {
      const point = points[index];
      const body = this.#bodies[index];
      if (point !== undefined && body !== undefined) this.#patch(body, point);
    }
  }

  #fits(points: readonly DataPoint<number>[]): boolean {
    const known = this.#attributes;
    if (points.length !== known.length) return false;
    for (let index = 0; index < points.length; index += 1) if (points[index]?.attributes !== known[index]) return false;
    return true;
  }

  #patch(body: number, point: DataPoint<number>): void {
    const view = this.#view;
    const start = this.#start;
    start.set(point.startTime);
    view.setUint32(body + START + 1, start.low, true);
    view.setUint32(body + START + 5, start.high, true);
    const end = this.#end;
    end.set(point.endTime);
    view.setUint32(body + END + 1, end.low, true);
    view.setUint32(body + END + 5, end.high, true);
    const { value } = point;
    // What no 64-bit integer can hold goes out as the double it is, NaN among them.
    if (this.#isInt && value >= -INT64_LIMIT && value < INT64_LIMIT) {
      const integer = Math.trunc(value);
      view.setUint8(body + VALUE, INT_TAG);
      view.setUint32(body + VALUE + 1, integer >>> 0, true);
      view.setInt32(body + VALUE + 5, Math.floor(integer / 0x1_0000_0000), true);
    } else {
      view.setUint8(body + VALUE, DOUBLE_TAG);
      view.setFloat64(body + VALUE + 1, value, true);
    }
  }

  #layOut(points: readonly DataPoint<number>[]): void {
    const writer = new ProtobufWriter();
    const attributeEnds = points.map(({ attributes }) => {
      writeAttributes(writer, ATTRIBUTES_FIELD, attributes);
      return writer.length;
    });
    const attributeBytes = writer.bytes;
    this.offsets = new Uint32Array(points.length + 1);
    this.#bodies = new Uint32Array(points.length);
    this.#attributes = points.map(({ attributes }) => (isImmutable(attributes) ? attributes : undefined));
    let size = 0;
    let attributesStart = 0;
    for (const [index, attributesEnd] of attributeEnds.entries()) {
      const bodySize = FIXED_BYTES + attributesEnd - attributesStart;
      this.#bodies[index] = size + 1 + varintSize(bodySize);
      size += 1 + varintSize(bodySize) + bodySize;
      this.offsets[index + 1] = size;
      attributesStart = attributesEnd;
    }
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.#view = new DataView(this.bytes.buffer);
    attributesStart = 0;
    for (const [index, attributesEnd] of attributeEnds.entries()) {
      this.#frame(index, attributeBytes.subarray(attributesStart, attributesEnd));
      attributesStart = attributesEnd;
    }
  }

  /** Writes what stays: tags, length, attributes. */
  #frame(index: number, attributes: Buffer): void {
    const offset = this.offsets[index];
    const body = this.#bodies[index];
    if (offset === undefined || body === undefined) return;
    this.bytes[offset] = POINT_TAG;
    const length = new ProtobufWriter(8);
    length.varint(FIXED_BYTES + attributes.length);
    this.bytes.set(length.bytes, offset + 1);
    this.bytes[body + START] = START_TAG;
    this.bytes[body + END] = END_TAG;
    this.bytes.set(attributes, body + FIXED_BYTES);
  }
}
