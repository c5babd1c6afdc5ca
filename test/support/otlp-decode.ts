import { bytesField, numberField, protobufFields } from '../../exporters/otlp/protobuf-reader.ts';

/** One number data point as it came over the wire. */
export interface ReceivedPoint {
  readonly metric: string;
  /** String and integer attributes, `key=value`, in order. */
  readonly series: string;
  readonly value: number;
}

/** Number points of gauges and sums with double values in an ExportMetricsServiceRequest in protobuf. */
export function decodePoints(body: Buffer): ReceivedPoint[] {
  const points: ReceivedPoint[] = [];
  for (const resource of messages(body, 1)) {
    for (const scope of messages(resource, 2)) {
      for (const metric of messages(scope, 2)) {
        const name = bytesField(metric, 1)?.toString() ?? '';
        const data = bytesField(metric, 5) ?? bytesField(metric, 7) ?? Buffer.alloc(0);
        for (const point of messages(data, 1))
          points.push({ metric: name, series: seriesOf(point), value: numberField(point, 4) ?? Number.NaN });
      }
    }
  }
  return points;
}

/** Values of the same points, without looking at what they belong to. */
export function decodeValues(body: Buffer): number[] {
  const values: number[] = [];
  for (const resource of messages(body, 1)) {
    for (const scope of messages(resource, 2)) {
      for (const metric of messages(scope, 2)) {
        const data = bytesField(metric, 5) ?? bytesField(metric, 7) ?? Buffer.alloc(0);
        for (const point of messages(data, 1)) values.push(numberField(point, 4) ?? Number.NaN);
      }
    }
  }
  return values;
}

/** A point of any instrument with everything that says whose it is. */
export interface DecodedPoint {
  readonly resource: Readonly<Record<string, string | number>>;
  readonly metric: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Of a histogram the number of its samples. */
  readonly value: number;
  readonly startTimeMs: number;
  readonly timeMs: number;
  /** Samples in all buckets, where there are buckets. */
  readonly bucketed?: number;
}

const GAUGE = 5;
const SUM = 7;
const EXPONENTIAL_HISTOGRAM = 10;

/** Every point of an ExportMetricsServiceRequest in protobuf; field numbers of opentelemetry/proto/metrics/v1/metrics.proto. */
export function decodeRequest(body: Buffer): DecodedPoint[] {
  return messages(body, 1).flatMap((resourceMetrics) => {
    const resource = attributesOf(bytesField(resourceMetrics, 1) ?? Buffer.alloc(0), 1);
    return messages(resourceMetrics, 2)
      .flatMap((scope) => messages(scope, 2))
      .flatMap((metric) => decodeMetric(metric).map((point) => ({ resource, ...point })));
  });
}

/** Attributes of every resource of an ExportMetricsServiceRequest. */
export function decodeResources(body: Buffer): Readonly<Record<string, string | number>>[] {
  return messages(body, 1).map((resourceMetrics) => attributesOf(bytesField(resourceMetrics, 1) ?? Buffer.alloc(0), 1));
}

function decodeMetric(metric: Buffer): Omit<DecodedPoint, 'resource'>[] {
  const name = bytesField(metric, 1)?.toString() ?? '';
  const numbers = [GAUGE, SUM].flatMap((kind) => messages(metric, kind)).flatMap((data) => messages(data, 1));
  const histograms = messages(metric, EXPONENTIAL_HISTOGRAM).flatMap((data) => messages(data, 1));
  return [
    ...numbers.map((point) => {
      const integer = numberField(point, 6);
      return { ...commonOf(name, point, 7), value: integer === undefined ? (numberField(point, 4) ?? Number.NaN) : integerOf(integer) };
    }),
    ...histograms.map((point) => {
      const counts = messages(point, 8).flatMap((buckets) => messages(buckets, 2));
      const bucketed = counts
        .flatMap((packed) => [...varints(packed)])
        .reduce((sum, count) => sum + count, integerOf(numberField(point, 7) ?? 0));
      return { ...commonOf(name, point, 1), value: integerOf(numberField(point, 4) ?? 0), bucketed };
    }),
  ];
}

function commonOf(metric: string, point: Buffer, attributesField: number) {
  const milliseconds = (field: number): number => integerOf(numberField(point, field) ?? 0) / 1e6;
  return { metric, attributes: attributesOf(point, attributesField), startTimeMs: milliseconds(2), timeMs: milliseconds(3) };
}

const EIGHT_BYTES = new DataView(new ArrayBuffer(8));

/** The reader takes eight bytes for a double: these are the same bytes as an integer. */
function integerOf(double: number): number {
  EIGHT_BYTES.setFloat64(0, double);
  return Number(EIGHT_BYTES.getBigInt64(0));
}

function* varints(packed: Buffer): Iterable<number> {
  let value = 0;
  let scale = 1;
  for (const byte of packed) {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte >= 0x80) continue;
    yield value;
    value = 0;
    scale = 1;
  }
}

function attributesOf(message: Buffer, field: number): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    messages(message, field).map((pair) => {
      const value = bytesField(pair, 2) ?? Buffer.alloc(0);
      return [bytesField(pair, 1)?.toString() ?? '', bytesField(value, 1)?.toString() ?? numberField(value, 3) ?? Number.NaN];
    }),
  );
}

function seriesOf(point: Buffer): string {
  return messages(point, 7)
    .map((pair) => {
      const value = bytesField(pair, 2) ?? Buffer.alloc(0);
      return `${bytesField(pair, 1)?.toString()}=${bytesField(value, 1)?.toString() ?? numberField(value, 3)}`;
    })
    .join(',');
}

function messages(bytes: Buffer, field: number): Buffer[] {
  const found: Buffer[] = [];
  for (const { number, value } of protobufFields(bytes)) if (number === field && typeof value !== 'number') found.push(value);
  return found;
}
