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
