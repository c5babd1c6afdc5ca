import { BYTES, FIXED64, ProtobufWriter, VARINT, sizeNested } from '../wire/protobuf-writer.ts';
import type { Exposition } from './exposition.ts';
import { HistogramSeries, numberCount } from './family.ts';
import type { Family, Series } from './family.ts';
import { parseLabels } from './labels.ts';
import { ZERO_THRESHOLD, nativeBuckets } from './native-histogram.ts';
import type { PageEncoder } from './pages.ts';

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

/** Writes pages of length-delimited MetricFamily messages; histograms carry their classic and their native buckets. */
export class ProtobufPageEncoder implements PageEncoder {
  readonly #page = new ProtobufWriter(64 * 1024);
  readonly #family = new ProtobufWriter(64 * 1024);
  readonly #known = new WeakMap<Series, SeriesBytes>();

  encode({ families, cells }: Exposition): Uint8Array {
    this.#page.clear();
    for (const family of families) {
      // Scrapers have no use for a message without metrics.
      if (family.series.length === 0) continue;
      this.#family.clear();
      this.#writeFamily(family, cells);
      this.#page.lengthAndBytes(this.#family.bytes);
    }
    return this.#page.take();
  }

  #writeFamily(family: Family, cells: Float64Array): void {
    const out = this.#family;
    out.string(FAMILY.name, family.name);
    out.string(FAMILY.help, family.help);
    out.tag(FAMILY.type, VARINT);
    out.varint(TYPE[family.type]);
    for (const series of family.series) this.#writeMetric(family, series, cells);
    if (family.unit !== '') out.string(FAMILY.unit, family.unit);
  }

  #writeMetric(family: Family, series: Series, cells: Float64Array): void {
    const out = this.#family;
    const { labels, created } = this.#bytesOf(family, series, cells);
    if (family.type === 'histogram') {
      out.message(FAMILY.metric, () => {
        out.raw(labels);
        out.message(METRIC.histogram, () => writeHistogram(out, series, cells, created));
      });
      return;
    }
    const isCounter = family.type === 'counter';
    const numberSize = DOUBLE_FIELD_BYTES + (created.length === 0 ? 0 : sizeNested(created.length));
    out.tag(FAMILY.metric, BYTES);
    out.varint(labels.length + sizeNested(numberSize));
    out.raw(labels);
    out.tag(isCounter ? METRIC.counter : METRIC.gauge, BYTES);
    out.varint(numberSize);
    out.tag(NUMBER.value, FIXED64);
    out.double(cells[series.cell] ?? Number.NaN);
    if (created.length === 0) return;
    out.tag(NUMBER.created, BYTES);
    out.lengthAndBytes(created);
  }

  #bytesOf(family: Family, series: Series, cells: Float64Array): SeriesBytes {
    const createdSeconds = family.created === 'unknown' ? undefined : cells[series.cell + numberCount(series)];
    const known = this.#known.get(series);
    if (known !== undefined && known.createdSeconds === createdSeconds) return known;
    const created = createdSeconds === undefined ? NO_BYTES : encodeTimestamp(createdSeconds);
    const bytes = { labels: known?.labels ?? encodeLabels(series.labelText), createdSeconds, created };
    this.#known.set(series, bytes);
    return bytes;
  }
}

const NO_BYTES = new Uint8Array();

/** What of a series stays the same from page to page. */
interface SeriesBytes {
  readonly labels: Uint8Array;
  readonly createdSeconds: number | undefined;
  readonly created: Uint8Array;
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

function writeHistogram(out: ProtobufWriter, series: Series, cells: Float64Array, created: Uint8Array): void {
  const bounds = series.bounds ?? [];
  const number = (offset: number): number => cells[series.cell + offset] ?? Number.NaN;
  out.tag(HISTOGRAM.sampleCount, VARINT);
  out.varint(number(bounds.length + 2));
  out.tag(HISTOGRAM.sampleSum, FIXED64);
  out.double(number(bounds.length + 1));
  for (const [index, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    out.message(HISTOGRAM.bucket, () => {
      out.tag(BUCKET.cumulativeCount, VARINT);
      out.varint(number(index));
      out.tag(BUCKET.upperBound, FIXED64);
      out.double(bound);
    });
  }
  if (series instanceof HistogramSeries) writeNative(out, series);
  if (created.length === 0) return;
  out.tag(HISTOGRAM.created, BYTES);
  out.lengthAndBytes(created);
}

function writeNative(out: ProtobufWriter, { native }: HistogramSeries): void {
  const buckets = native === undefined ? undefined : nativeBuckets(native);
  if (native === undefined || buckets === undefined) return;
  out.tag(HISTOGRAM.schema, VARINT);
  out.sint32(buckets.schema);
  out.tag(HISTOGRAM.zeroThreshold, FIXED64);
  out.double(ZERO_THRESHOLD);
  out.tag(HISTOGRAM.zeroCount, VARINT);
  out.varint(native.zeroCount);
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

function encodeTimestamp(seconds: number): Uint8Array {
  const out = new ProtobufWriter(24);
  const whole = Math.floor(seconds);
  out.tag(TIMESTAMP.seconds, VARINT);
  out.varint(whole);
  out.tag(TIMESTAMP.nanos, VARINT);
  out.varint(Math.round((seconds - whole) * 1e9));
  return out.take();
}
