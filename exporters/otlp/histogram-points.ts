import type { Attributes } from '@opentelemetry/api';
import type { DataPoint, ExponentialHistogram, Histogram } from '@opentelemetry/sdk-metrics';
import type { EncodedPoints } from './plan.ts';
import { FixedTime, isImmutable, writeAttributes } from './protobuf-common.ts';
import { FIXED64, ProtobufWriter, VARINT } from '../wire/protobuf-writer.ts';

type WritePoint<T> = (writer: ProtobufWriter, point: DataPoint<T>, shared: SharedFields) => void;

/** Points of one histogram. Bucket counts are varints, so a point's size changes: it is written anew, its attributes are not. */
export class DistributionPoints<T> implements EncodedPoints {
  bytes: Buffer = Buffer.alloc(0);
  offsets = new Uint32Array(1);
  readonly #writePoint: WritePoint<T>;
  readonly #writer = new ProtobufWriter();
  readonly #shared = new SharedFields();

  constructor(writePoint: WritePoint<T>) {
    this.#writePoint = writePoint;
  }

  encode(points: readonly DataPoint<T>[]): void {
    const writer = this.#writer;
    writer.clear();
    if (this.offsets.length !== points.length + 1) this.offsets = new Uint32Array(points.length + 1);
    for (const [index, point] of points.entries()) {
      writer.message(1, () => this.#writePoint(writer, point, this.#shared));
      this.offsets[index + 1] = writer.length;
    }
    this.bytes = writer.bytes;
  }
}

/** What both kinds of histogram have. */
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
