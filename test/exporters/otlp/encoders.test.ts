import { JsonMetricsSerializer, ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonEncoder } from '../../../exporters/otlp/json.ts';
import { planRequests } from '../../../exporters/otlp/plan.ts';
import type { WireFormat } from '../../../exporters/otlp/plan.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { resourceMetrics as anyResourceMetrics } from './arbitrary.ts';
import { counter, everyKind, gauge, point, resourceMetrics } from './batches.ts';

const FORMATS = [
  { name: 'protobuf', create: (): WireFormat => new ProtobufEncoder(), stock: ProtobufMetricsSerializer },
  { name: 'JSON', create: (): WireFormat => new JsonEncoder(), stock: JsonMetricsSerializer },
] as const;

function encode(encoder: WireFormat, resources: readonly ResourceMetrics[]): Buffer {
  const { requests } = planRequests(resources, encoder);
  return encoder.assemble(requests[0] ?? { resources: [], points: 0 });
}

describe.each(FORMATS)('$name encoder', ({ create, stock }) => {
  const oracle = (resource: ResourceMetrics) => Buffer.from(stock.serializeRequest(resource) ?? []);

  it('writes what the stock serializer writes, for every kind of point', () => {
    for (const resource of everyKind()) expect(encode(create(), [resource])).toEqual(oracle(resource));
  });

  it('writes what the stock serializer writes, for any batch, with and without its caches', () => {
    const encoder = create();
    fc.assert(
      fc.property(anyResourceMetrics, (resource) => {
        const expected = oracle(resource);
        expect(encode(encoder, [resource]).equals(expected)).toBe(true);
        expect(encode(encoder, [resource]).equals(expected)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('follows values, times and series that change between collections', () => {
    const encoder = create();
    const live = [point(1, { core: 0 }), point(2, { core: 1 }), point(3, { core: 2 })].map((one) => ({ ...one }));
    const resource = resourceMetrics({ host: 'a' }, [gauge('live', live)]);
    for (let round = 0; round < 5; round += 1) {
      for (const one of live) {
        one.value += 0.5;
        one.endTime = [one.endTime[0] + 1, one.endTime[1]];
      }
      if (round === 2) live.splice(1, 1);
      if (round === 3) live.push({ ...point(7, { core: 9 }) });
      if (round === 4) live.reverse();
      expect(encode(encoder, [resource])).toEqual(oracle(resource));
    }
  });

  it('does not trust attributes that can change', () => {
    const encoder = create();
    const attributes = { core: 1 };
    const resource = resourceMetrics({}, [gauge('live', [{ ...point(1), attributes }])]);
    encode(encoder, [resource]);
    attributes.core = 2;
    expect(encode(encoder, [resource])).toEqual(oracle(resource));
  });
});

describe('protobuf encoder', () => {
  it('puts many resources into one request: the concatenation of their own requests', () => {
    const batch = everyKind();
    const expected = Buffer.concat(batch.map((resource) => ProtobufMetricsSerializer.serializeRequest(resource) ?? new Uint8Array()));
    expect(encode(new ProtobufEncoder(), batch)).toEqual(expected);
  });

  it('writes a value that is no 64-bit integer as the double it is', () => {
    const odd = encode(new ProtobufEncoder(), [resourceMetrics({}, [counter('odd', [point(Number.NaN), point(2 ** 63)])])]);
    const doubles = encode(new ProtobufEncoder(), [
      resourceMetrics({}, [
        { ...counter('odd', [point(Number.NaN), point(2 ** 63)]), descriptor: { ...counter('odd', []).descriptor, valueType: 1 } },
      ]),
    ]);
    expect(odd).toEqual(doubles);
  });

  it('writes NaN and infinities of doubles as the stock serializer does', () => {
    const resource = resourceMetrics({}, [gauge('odd', [point(Number.NaN), point(Number.POSITIVE_INFINITY), point(-0)])]);
    expect(encode(new ProtobufEncoder(), [resource])).toEqual(Buffer.from(ProtobufMetricsSerializer.serializeRequest(resource) ?? []));
  });
});
