import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonEncoder } from '../../../exporters/otlp/json.ts';
import { planRequests } from '../../../exporters/otlp/plan.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { countPoints } from '../../../exporters/otlp/snapshot.ts';
import { resourceMetrics as anyResourceMetrics } from './arbitrary.ts';
import { everyKind, gauge, point, resourceMetrics } from './batches.ts';

const NO_LIMIT = Number.POSITIVE_INFINITY;

function manyPoints(count: number): ResourceMetrics[] {
  const points = Array.from({ length: count }, (_, index) => point(index, { 'neuron.core.index': index }));
  return [resourceMetrics({ host: 'a' }, [gauge('neuron.core.utilization', points)])];
}

describe('planRequests', () => {
  it.each([
    { points: 999, requests: [999] },
    { points: 1000, requests: [1000] },
    { points: 1001, requests: [1000, 1] },
    { points: 2500, requests: [1000, 1000, 500] },
  ])('puts $points points under a limit of 1,000 into $requests', ({ points, requests }) => {
    const plan = planRequests(manyPoints(points), new ProtobufEncoder(), { maxPoints: 1000, maxBytes: NO_LIMIT });
    expect(plan.requests.map((request) => request.points)).toEqual(requests);
  });

  it('cuts inside a metric and repeats its resource, scope and description', () => {
    const [whole] = manyPoints(3);
    const encoder = new ProtobufEncoder();
    const { requests } = planRequests(whole === undefined ? [] : [whole], encoder, { maxPoints: 2, maxBytes: NO_LIMIT });
    const parts = [0, 2].map((from) => {
      const points = manyPoints(3)[0]?.scopeMetrics[0]?.metrics[0]?.dataPoints.slice(from, from + 2) ?? [];
      const part = resourceMetrics({ host: 'a' }, [gauge('neuron.core.utilization', points as ReturnType<typeof point<number>>[])]);
      return Buffer.from(ProtobufMetricsSerializer.serializeRequest(part) ?? []);
    });
    expect(requests.map((request) => encoder.assemble(request))).toEqual(parts);
  });

  it('starts no request with envelopes of points that went into the one before', () => {
    const encoder = new JsonEncoder();
    const { requests } = planRequests(everyKind(), encoder, { maxPoints: 8, maxBytes: NO_LIMIT });
    expect(requests.map(({ points }) => points)).toEqual([8, 5]);
    const bodies = requests.map((request) => JSON.parse(encoder.assemble(request).toString()) as { resourceMetrics: unknown[] });
    expect(bodies.map(({ resourceMetrics: resources }) => resources.length)).toEqual([1, 2]);
  });

  it('keeps a request that is exactly as large as allowed, and splits one that is a byte larger', () => {
    const encoder = new ProtobufEncoder();
    const size = encoder.assemble(planRequests(manyPoints(100), encoder).requests[0] ?? { resources: [], points: 0 }).length;
    const slack = 40;
    expect(planRequests(manyPoints(100), encoder, { maxPoints: NO_LIMIT, maxBytes: size + slack }).requests).toHaveLength(1);
    expect(planRequests(manyPoints(100), encoder, { maxPoints: NO_LIMIT, maxBytes: size - 1 }).requests).toHaveLength(2);
  });

  it('leaves out and counts a point that alone is too large', () => {
    const huge = point(1, { tag: 'x'.repeat(1000) });
    const batch = [resourceMetrics({}, [gauge('a', [point(1), huge, point(2)])])];
    for (const encoder of [new ProtobufEncoder(), new JsonEncoder()]) {
      const plan = planRequests(batch, encoder, { maxPoints: NO_LIMIT, maxBytes: 600 });
      expect(plan.oversizedPoints).toBe(1);
      expect(plan.requests.reduce((sum, { points }) => sum + points, 0)).toBe(2);
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
          const { requests, oversizedPoints } = planRequests(batch, encoder, { maxPoints, maxBytes });
          const planned = requests.reduce((sum, { points }) => sum + points, 0);
          expect(planned + oversizedPoints).toBe(countPoints(batch));
          const full = requests.filter(({ points }) => points > 0);
          for (const request of full) {
            expect(request.points).toBeLessThanOrEqual(maxPoints);
            expect(encoder.assemble(request).length).toBeLessThanOrEqual(Math.max(maxBytes, envelopesOf(batch)));
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

/** Envelopes without points are not split. */
function envelopesOf(batch: readonly ResourceMetrics[]): number {
  return new JsonEncoder().assemble(planRequests(batch, new JsonEncoder()).requests[0] ?? { resources: [], points: 0 }).length;
}
