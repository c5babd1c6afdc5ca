import type { Buffer } from 'node:buffer';
import type { HrTime } from '@opentelemetry/api';
import type { ExponentialHistogram, Histogram } from '@opentelemetry/sdk-metrics';
import { BYTES, FIXED64, ProtobufWriter, VARINT, sizeNested, varintSize } from '../wire/protobuf-writer.ts';
import type { Family, Series } from './family.ts';
import { ZERO_THRESHOLD, classicBuckets, nativeBuckets } from './histogram.ts';
import { parseLabels } from './labels.ts';

/** Field numbers of io.prometheus.client, from `metrics.proto` of prometheus/client_model. */
const FAMILY = { name: 1, help: 2, type: 3, metric: 4, unit: 5 } as const;
const METRIC = { label: 1, gauge: 2, counter: 3, histogram: 7 } as const;
const LABEL = { name: 1, value: 2 } as const;
const NUMBER = { value: 1, created: 3 } as const;
const HISTOGRAM = {
  sampleCount: 1,
  sampleSum: 2,
  bucket: 3,
  schema: 5,
  zeroThreshold: 6,
  zeroCount: 7,
  positiveSpan: 12,
  positiveDelta: 13,
  created: 15,
} as const;
const BUCKET = { cumulativeCount: 1, upperBound: 2 } as const;
const SPAN = { offset: 1, length: 2 } as const;
const TIMESTAMP = { seconds: 1, nanos: 2 } as const;

/** Values of the enumeration MetricType; it has no info metrics, those are gauges. */
const TYPE = { counter: 0, gauge: 1, info: 1, histogram: 4 } as const;

/** Writes families as length-delimited MetricFamily messages, into `memory` where it is large enough; histograms carry their classic and their native buckets. */
export function writeProtobuf(families: readonly Family[], memory?: Buffer): Buffer {
  const out = new ProtobufWriter(memory ?? FIRST_PAGE_BYTES);
  for (const family of families) {
    // Scrapers have no use for a message without metrics.
    if (family.series.length > 0) out.delimited(() => writeFamily(out, family));
  }
  return out.bytes;
}

const FIRST_PAGE_BYTES = 64 * 1024;

function writeFamily(out: ProtobufWriter, family: Family): void {
  out.string(FAMILY.name, family.name);
  out.string(FAMILY.help, family.help);
  out.tag(FAMILY.type, VARINT);
  out.varint(TYPE[family.type]);
  for (const series of family.series) writeMetric(out, family, series);
  if (family.unit !== '') out.string(FAMILY.unit, family.unit);
}

function writeMetric(out: ProtobufWriter, family: Family, series: Series): void {
  const { value, startTime } = series.point;
  const labels = (series.labelBytes ??= encodeLabels(series.labels));
  const created = family.created === 'unknown' ? undefined : startTime;
  if (typeof value !== 'number') {
    out.message(FAMILY.metric, () => {
      out.raw(labels);
      out.message(METRIC.histogram, () => writeHistogram(out, value, created));
    });
    return;
  }
  const numberSize = DOUBLE_FIELD_BYTES + (created === undefined ? 0 : sizeNested(timestampSize(created)));
  out.tag(FAMILY.metric, BYTES);
  out.varint(labels.length + sizeNested(numberSize));
  out.raw(labels);
  out.tag(family.type === 'counter' ? METRIC.counter : METRIC.gauge, BYTES);
  out.varint(numberSize);
  out.tag(NUMBER.value, FIXED64);
  out.double(value);
  if (created !== undefined) writeTimestamp(out, NUMBER.created, created);
}

/** Tag and value. */
const DOUBLE_FIELD_BYTES = 9;

function encodeLabels(text: string): Uint8Array {
  const out = new ProtobufWriter(128);
  for (const { name, value } of parseLabels(text)) {
    out.message(METRIC.label, () => {
      out.string(LABEL.name, name);
      out.string(LABEL.value, value);
    });
  }
  return out.take();
}

function writeHistogram(out: ProtobufWriter, value: Histogram | ExponentialHistogram, created: HrTime | undefined): void {
  const { boundaries, cumulativeCounts } = classicBuckets(value);
  out.tag(HISTOGRAM.sampleCount, VARINT);
  out.varint(value.count);
  out.tag(HISTOGRAM.sampleSum, FIXED64);
  out.double(value.sum ?? Number.NaN);
  for (let index = 0; index <= boundaries.length; index += 1) {
    out.message(HISTOGRAM.bucket, () => {
      out.tag(BUCKET.cumulativeCount, VARINT);
      out.varint(cumulativeCounts[index] ?? value.count);
      out.tag(BUCKET.upperBound, FIXED64);
      out.double(boundaries[index] ?? Number.POSITIVE_INFINITY);
    });
  }
  if ('scale' in value) writeNative(out, value);
  if (created !== undefined) writeTimestamp(out, HISTOGRAM.created, created);
}

function writeNative(out: ProtobufWriter, value: ExponentialHistogram): void {
  const buckets = nativeBuckets(value);
  if (buckets === undefined) return;
  out.tag(HISTOGRAM.schema, VARINT);
  out.sint32(buckets.schema);
  out.tag(HISTOGRAM.zeroThreshold, FIXED64);
  out.double(ZERO_THRESHOLD);
  out.tag(HISTOGRAM.zeroCount, VARINT);
  out.varint(value.zeroCount);
  for (const { offset, length } of buckets.spans) {
    out.message(HISTOGRAM.positiveSpan, () => {
      out.tag(SPAN.offset, VARINT);
      out.sint32(offset);
      out.tag(SPAN.length, VARINT);
      out.varint(length);
    });
  }
  for (const delta of buckets.deltas) {
    out.tag(HISTOGRAM.positiveDelta, VARINT);
    // Zigzag of 64 bits; counts are far below 2^53.
    out.varint(delta < 0 ? -2 * delta - 1 : 2 * delta);
  }
}

function timestampSize([seconds, nanoseconds]: HrTime): number {
  return 2 + varintSize(seconds) + varintSize(nanoseconds);
}

function writeTimestamp(out: ProtobufWriter, field: number, time: HrTime): void {
  const [seconds, nanoseconds] = time;
  out.tag(field, BYTES);
  out.varint(timestampSize(time));
  out.tag(TIMESTAMP.seconds, VARINT);
  out.varint(seconds);
  out.tag(TIMESTAMP.nanos, VARINT);
  out.varint(nanoseconds);
}
