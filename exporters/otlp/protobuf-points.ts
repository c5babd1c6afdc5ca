import type { Attributes } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import type { DataPoint, ExponentialHistogram, Histogram, MetricDescriptor } from '@opentelemetry/sdk-metrics';
import { FIXED64, ProtobufWriter, VARINT, varintSize } from '../wire/protobuf-writer.ts';
import { FixedTime, isImmutable, scalarsOf, writeAttributes } from './protobuf-values.ts';
import type { EncodedPoints } from './requests.ts';

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

/** `NumberPoints` keeps the bytes of the points of one gauge or sum, and patches them in place while the series stay the same. */
export class NumberPoints implements EncodedPoints {
  bytes = Buffer.alloc(0);
  /** Offset of each point, and one more for the end. */
  offsets = new Uint32Array(1);
  readonly #isInt: boolean;
  /** Identity of each point's attributes. */
  #attributes: Attributes[] = [];
  /** Names and values of attributes that are not frozen, as they were written; undefined for values that are not compared. */
  readonly #scalars = new Map<number, readonly unknown[] | undefined>();
  /** Offset of the fixed part of each point. */
  #bodies = new Uint32Array(0);
  #view = new DataView(this.bytes.buffer);
  readonly #start = new FixedTime();
  readonly #end = new FixedTime();

  constructor(descriptor: MetricDescriptor) {
    this.#isInt = descriptor.valueType === ValueType.INT;
  }

  /** Brings the bytes up to date with the points. */
  encode(points: readonly DataPoint<number>[]): this {
    if (!this.#fits(points)) this.#layOut(points);
    for (let index = 0; index < points.length; index += 1) {
      const point = points[index];
      const body = this.#bodies[index];
      if (point !== undefined && body !== undefined) this.#patch(body, point);
    }
    return this;
  }

  #fits(points: readonly DataPoint<number>[]): boolean {
    const known = this.#attributes;
    if (points.length !== known.length) return false;
    for (let index = 0; index < points.length; index += 1) if (points[index]?.attributes !== known[index]) return false;
    for (const [index, before] of this.#scalars) if (!isSame(before, scalarsOf(known[index] ?? {}))) return false;
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
    // A value that no 64-bit integer can hold is written as the double it is, NaN among them.
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
    this.#attributes = points.map(({ attributes }) => attributes);
    this.#scalars.clear();
    for (const [index, attributes] of this.#attributes.entries())
      if (!isImmutable(attributes)) this.#scalars.set(index, scalarsOf(attributes));
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

  /** Writes the bytes that stay: tags, length, attributes. */
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

function isSame(before: readonly unknown[] | undefined, now: readonly unknown[] | undefined): boolean {
  return before !== undefined && before.length === now?.length && before.every((value, index) => Object.is(value, now[index]));
}

type WritePoint<T> = (writer: ProtobufWriter, point: DataPoint<T>, shared: SharedFields) => void;

/** `DistributionPoints` holds the points of one histogram. Bucket counts are varints, so a point's size changes: it is written anew, its attributes are not. */
export class DistributionPoints<T> implements EncodedPoints {
  bytes: Buffer = Buffer.alloc(0);
  offsets = new Uint32Array(1);
  readonly #writePoint: WritePoint<T>;
  readonly #writer = new ProtobufWriter();
  readonly #shared = new SharedFields();

  constructor(writePoint: WritePoint<T>) {
    this.#writePoint = writePoint;
  }

  encode(points: readonly DataPoint<T>[]): this {
    const writer = this.#writer;
    writer.clear();
    if (this.offsets.length !== points.length + 1) this.offsets = new Uint32Array(points.length + 1);
    for (const [index, point] of points.entries()) {
      writer.message(1, () => this.#writePoint(writer, point, this.#shared));
      this.offsets[index + 1] = writer.length;
    }
    this.bytes = writer.bytes;
    return this;
  }
}

/** Writes the fields that both kinds of histogram have. */
class SharedFields {
  readonly #attributes = new WeakMap<Attributes, Buffer>();
  readonly #time = new FixedTime();

  /** Fields 2 to 5: start, time, count, sum. */
  writeTotals(writer: ProtobufWriter, point: DataPoint<Histogram | ExponentialHistogram>): void {
    writer.tag(2, FIXED64);
    this.#time.set(point.startTime);
    writer.fixed64(this.#time.low, this.#time.high);
    writer.tag(3, FIXED64);
    this.#time.set(point.endTime);
    writer.fixed64(this.#time.low, this.#time.high);
    writer.tag(4, FIXED64);
    writer.count64(point.value.count);
    writeOptionalDouble(writer, 5, point.value.sum);
  }

  writeAttributes(writer: ProtobufWriter, field: number, attributes: Attributes): void {
    const cached = this.#attributes.get(attributes);
    if (cached !== undefined) {
      writer.raw(cached);
      return;
    }
    const start = writer.length;
    writeAttributes(writer, field, attributes);
    if (isImmutable(attributes)) this.#attributes.set(attributes, Buffer.from(writer.bytes.subarray(start)));
  }
}

/** `HistogramDataPoint`, fields in the order of the OpenTelemetry JS serializer. */
export function writeHistogramPoint(writer: ProtobufWriter, point: DataPoint<Histogram>, shared: SharedFields): void {
  const { min, max, buckets } = point.value;
  shared.writeTotals(writer, point);
  if (buckets.counts.length > 0) {
    writer.message(6, () => {
      for (const count of buckets.counts) writer.count64(count);
    });
  }
  if (buckets.boundaries.length > 0) {
    writer.message(7, () => {
      for (const boundary of buckets.boundaries) writer.double(boundary);
    });
  }
  shared.writeAttributes(writer, 9, point.attributes);
  writeOptionalDouble(writer, 11, min);
  writeOptionalDouble(writer, 12, max);
}

/** `ExponentialHistogramDataPoint`, fields in the order of the OpenTelemetry JS serializer. */
export function writeExponentialPoint(writer: ProtobufWriter, point: DataPoint<ExponentialHistogram>, shared: SharedFields): void {
  const { min, max, scale, zeroCount, positive, negative } = point.value;
  shared.writeAttributes(writer, 1, point.attributes);
  shared.writeTotals(writer, point);
  if (scale !== 0) {
    writer.tag(6, VARINT);
    writer.sint32(scale);
  }
  writer.tag(7, FIXED64);
  writer.count64(zeroCount);
  writeBuckets(writer, 8, positive);
  writeBuckets(writer, 9, negative);
  writeOptionalDouble(writer, 12, min);
  writeOptionalDouble(writer, 13, max);
}

function writeOptionalDouble(writer: ProtobufWriter, field: number, value: number | undefined): void {
  if (value === undefined) return;
  writer.tag(field, FIXED64);
  writer.double(value);
}

function writeBuckets(writer: ProtobufWriter, field: number, { offset, bucketCounts }: ExponentialHistogram['positive']): void {
  writer.message(field, () => {
    if (offset !== 0) {
      writer.tag(1, VARINT);
      writer.sint32(offset);
    }
    if (bucketCounts.length > 0) {
      writer.message(2, () => {
        for (const count of bucketCounts) writer.varint(count);
      });
    }
  });
}
