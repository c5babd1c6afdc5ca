import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonEncoder, otlpJson } from '../../../exporters/otlp/json.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { countPoints } from '../../../src/readers.ts';
import { resourceMetrics as anyResourceMetrics } from './arbitrary.ts';
import { decodeResources } from '../../support/otlp-decode.ts';
import { everyKind, gauge, point, resourceMetrics } from './batches.ts';

function manyPoints(count: number): ResourceMetrics[] {
  const points = Array.from({ length: count }, (_, index) => point(index, { 'neuron.core.index': index }));
  return [resourceMetrics({ host: 'a' }, [gauge('neuron.core.utilization', points)])];
}

describe('an encoder under limits', () => {
  it.each([
    { points: 999, requests: [999] },
    { points: 1000, requests: [1000] },
    { points: 1001, requests: [1000, 1] },
    { points: 2500, requests: [1000, 1000, 500] },
  ])('puts $points points under a limit of 1,000 into $requests', ({ points, requests }) => {
    const encoded = new ProtobufEncoder().encode(manyPoints(points), { ...UNLIMITED, max_points: 1000 });
    expect(encoded.requests.map((request) => request.points)).toEqual(requests);
  });

  it('cuts inside a metric and repeats its resource, scope and description', () => {
    const [whole] = manyPoints(3);
    const { requests } = new ProtobufEncoder().encode(whole === undefined ? [] : [whole], { ...UNLIMITED, max_points: 2 });
    const expected = [0, 2].map((from) => {
      const points = manyPoints(3)[0]?.scopeMetrics[0]?.metrics[0]?.dataPoints.slice(from, from + 2) ?? [];
      const piece = resourceMetrics({ host: 'a' }, [gauge('neuron.core.utilization', points as ReturnType<typeof point<number>>[])]);
      return Buffer.from(ProtobufMetricsSerializer.serializeRequest(piece) ?? []);
    });
    expect(requests.map(({ body }) => body)).toEqual(expected);
  });

  it('starts no request with envelopes of points that went into the one before', () => {
    const { requests } = new ProtobufEncoder().encode(everyKind(), { ...UNLIMITED, max_points: 8 });
    expect(requests.map(({ points }) => points)).toEqual([8, 5]);
    expect(requests.map(({ body }) => decodeResources(body).length)).toEqual([1, 2]);
  });

  it('keeps a request that is exactly as large as allowed, and splits one that is a byte larger', () => {
    const encoder = new ProtobufEncoder();
    const size = encoder.encode(manyPoints(100), UNLIMITED).requests[0]?.body.length ?? 0;
    const slack = 40;
    expect(encoder.encode(manyPoints(100), { ...UNLIMITED, max_bytes: size + slack }).requests).toHaveLength(1);
    expect(encoder.encode(manyPoints(100), { ...UNLIMITED, max_bytes: size - 1 }).requests).toHaveLength(2);
  });

  it('leaves out and counts a point that alone is too large', () => {
    const huge = point(1, { tag: 'x'.repeat(1000) });
    const batch = [resourceMetrics({}, [gauge('a', [point(1), huge, point(2)])])];
    for (const encoder of [new ProtobufEncoder(), new JsonEncoder()]) {
      const { requests, oversizedPoints } = encoder.encode(batch, { ...UNLIMITED, max_bytes: 600 });
      expect(oversizedPoints).toBe(1);
      expect(requests.reduce((sum, { points }) => sum + points, 0)).toBe(2);
    }
  });

  it('loses no point, repeats none, and passes no limit', () => {
    fc.assert(
      fc.property(
        fc.array(anyResourceMetrics, { maxLength: 3 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 400, max: 4000 }),
        fc.boolean(),
        (batch, maxPoints, maxBytes, isJson) => {
          const encoder = isJson ? new JsonEncoder() : new ProtobufEncoder();
          const { requests, oversizedPoints } = encoder.encode(batch, { max_points: maxPoints, max_bytes: maxBytes });
          const encoded = requests.reduce((sum, { points }) => sum + points, 0);
          expect(encoded + oversizedPoints).toBe(countPoints(batch));
          for (const { body, points } of requests.filter((request) => request.points > 0)) {
            expect(points).toBeLessThanOrEqual(maxPoints);
            expect(body.length).toBeLessThanOrEqual(Math.max(maxBytes, envelopesOf(batch)));
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

/** Envelopes without points are not split, so a request may be as large as all of them. */
function envelopesOf(batch: readonly ResourceMetrics[]): number {
  return otlpJson(batch).length;
}
