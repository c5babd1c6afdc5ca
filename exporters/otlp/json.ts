import { JsonMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { countPoints } from '../../src/readers.ts';
import type { OtlpSettings } from './settings.ts';
import { slicePoints } from '../wire/points.ts';
import type { EncodedRequest, EncodedRequests, RequestEncoder } from './requests.ts';

/** The serializer of the SDK takes one resource a call, and puts its text between these two. */
const HEAD = '{"resourceMetrics":[';
const TAIL = ']}';

/** Returns a collection as one ExportMetricsServiceRequest in OTLP/JSON, on one line. */
export function otlpJson(resourceMetrics: readonly ResourceMetrics[]): Buffer {
  const pieces: Uint8Array[] = [Buffer.from(HEAD)];
  for (const resource of resourceMetrics) {
    const text = JsonMetricsSerializer.serializeRequest(resource) ?? new Uint8Array();
    if (pieces.length > 1) pieces.push(Buffer.from(','));
    pieces.push(text.subarray(HEAD.length, text.length - TAIL.length));
  }
  pieces.push(Buffer.from(TAIL));
  return Buffer.concat(pieces);
}

/**
 * `JsonEncoder` writes OTLP/JSON with the serializer of the OpenTelemetry SDK. This module is imported only when a destination or a
 * command asks for JSON: the serializer is code that nothing else needs.
 */
export class JsonEncoder implements RequestEncoder {
  readonly contentType = 'application/json';

  encode(
    resourceMetrics: readonly ResourceMetrics[],
    { max_points: maxPoints, max_bytes: maxBytes }: OtlpSettings['batch'],
  ): EncodedRequests {
    const total = countPoints(resourceMetrics);
    const requests: EncodedRequest[] = [];
    let oversizedPoints = 0;
    /** Text has no size before it is written: a request that is too large is written again in two halves. */
    const encodeRange = (from: number, to: number): void => {
      const body = otlpJson(from === 0 && to === total ? resourceMetrics : slicePoints(resourceMetrics, from, to));
      if (body.length <= maxBytes) {
        requests.push({ body, points: to - from });
      } else if (to - from <= 1) {
        oversizedPoints += to - from;
      } else {
        const middle = Math.ceil((from + to) / 2);
        encodeRange(from, middle);
        encodeRange(middle, to);
      }
    };
    for (let from = 0; from < total; from += maxPoints) encodeRange(from, Math.min(total, from + maxPoints));
    return { requests, oversizedPoints };
  }
}
