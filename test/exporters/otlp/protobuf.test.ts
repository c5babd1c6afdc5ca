import { ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { Attributes } from '@opentelemetry/api';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { resourceMetrics as anyResourceMetrics } from './arbitrary.ts';
import { counter, everyKind, gauge, histogram, point, resourceMetrics } from './batches.ts';

function encode(encoder: ProtobufEncoder, resources: readonly ResourceMetrics[]): Buffer {
  return encoder.encode(resources, UNLIMITED).requests[0]?.body ?? Buffer.alloc(0);
}

function oracle(resource: ResourceMetrics): Buffer {
  return Buffer.from(ProtobufMetricsSerializer.serializeRequest(resource) ?? []);
}

describe('ProtobufEncoder', () => {
  it('writes what the stock serializer writes, for every kind of point', () => {
    for (const resource of everyKind()) expect(encode(new ProtobufEncoder(), [resource])).toEqual(oracle(resource));
  });

  it('writes what the stock serializer writes, for any batch, with and without its caches', () => {
    const encoder = new ProtobufEncoder();
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
    const encoder = new ProtobufEncoder();
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

  it.each([
    { change: 'a value', attributes: { core: 1 } as Attributes, alter: (one: Attributes) => void (one['core'] = 2) },
    { change: 'a new name', attributes: { core: 1 } as Attributes, alter: (one: Attributes) => void (one['device'] = 2) },
    { change: 'a missing name', attributes: { core: 1, device: 3 } as Attributes, alter: (one: Attributes) => void delete one['device'] },
    {
      change: 'an item of an array',
      attributes: { cores: [1, 2] } as Attributes,
      alter: (one: Attributes) => void (one['cores'] = [1, 3]),
    },
  ])('writes attributes anew after they were changed in place: $change', ({ attributes, alter }) => {
    const encoder = new ProtobufEncoder();
    const resource = resourceMetrics({}, [gauge('live', [{ ...point(1), attributes }])]);
    encode(encoder, [resource]);
    alter(attributes);
    expect(encode(encoder, [resource])).toEqual(oracle(resource));
  });

  it('keeps the bytes of two resources apart that share descriptors, scopes and attributes', () => {
    const shared = resourceMetrics({ host: 'a' }, [gauge('live', [point(1, { core: 0 })])]);
    const other: ResourceMetrics = {
      ...resourceMetrics({ host: 'b' }, []),
      scopeMetrics: shared.scopeMetrics.map(({ scope, metrics }) => ({
        scope,
        metrics: metrics.map((metric) => ({ ...metric, dataPoints: [point(2, { core: 1 })] }) as MetricData),
      })),
    };
    expect(encode(new ProtobufEncoder(), [shared, other])).toEqual(Buffer.concat([oracle(shared), oracle(other)]));
  });

  it('follows a metric whose type changes under the same descriptor', () => {
    const encoder = new ProtobufEncoder();
    const resource = resourceMetrics({}, [gauge('live', [point(1)])]);
    const [before] = resource.scopeMetrics[0]?.metrics ?? [];
    const classic = histogram('live', [point({ buckets: { boundaries: [1], counts: [1, 2] }, count: 3 })]);
    const after: ResourceMetrics = {
      ...resource,
      scopeMetrics: resource.scopeMetrics.map(({ scope }) => ({
        scope,
        metrics: [{ ...classic, descriptor: before?.descriptor ?? classic.descriptor }],
      })),
    };
    encode(encoder, [resource]);
    expect(encode(encoder, [after])).toEqual(oracle(after));
  });

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
