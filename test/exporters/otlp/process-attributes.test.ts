import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { CollectionConverter } from '../../../exporters/otlp/converter.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { counter, gauge, histogram, point, resourceMetrics } from './batches.ts';

const PROCESS = { 'service.name': 'neuron-otel', 'process.pid': 41, 'neuron.runtime.tag': 'train', 'k8s.pod.name': 'rank-0' };
const OF_PROCESS = { 'process.pid': 41, 'neuron.runtime.tag': 'train', 'k8s.pod.name': 'rank-0' };

function converter(settings: { readonly process_attributes: boolean; readonly temporality?: 'cumulative' | 'delta' }): CollectionConverter {
  return new CollectionConverter({ histogram: 'exponential', temporality: 'cumulative', ...settings }, 0);
}

function attributesOf(collection: readonly ResourceMetrics[]): readonly object[] {
  return collection.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) => metrics.flatMap(({ dataPoints }) => dataPoints.map(({ attributes }) => ({ ...attributes })))),
  );
}

describe('process_attributes', () => {
  it.each([
    ['gauge', gauge('m', [point(1, { core: 0 })])],
    ['counter', counter('m', [point(2, { core: 0 })])],
    ['histogram', histogram('m', [point({ count: 0, buckets: { boundaries: [1], counts: [0, 0] } }, { core: 0 })])],
  ])('puts the identity of the process on the points of a %s', (_kind, metric) => {
    const converted = converter({ process_attributes: true }).convert([resourceMetrics(PROCESS, [metric])]);
    expect(attributesOf(converted)).toEqual([{ ...OF_PROCESS, core: 0 }]);
  });

  it('leaves the points of the host as they are', () => {
    const host = resourceMetrics({ 'host.id': 'i-1' }, [gauge('m', [point(1, { core: 0 })])]);
    expect(attributesOf(converter({ process_attributes: true }).convert([host]))).toEqual([{ core: 0 }]);
  });

  it('leaves every point as it is by default', () => {
    const process = resourceMetrics(PROCESS, [gauge('m', [point(1, { core: 0 })])]);
    expect(attributesOf(converter({ process_attributes: false }).convert([process]))).toEqual([{ core: 0 }]);
  });

  it('keeps the own attribute of a point where both have one', () => {
    const process = resourceMetrics(PROCESS, [gauge('m', [point(1, { 'process.pid': 7 })])]);
    expect(attributesOf(converter({ process_attributes: true }).convert([process]))).toEqual([{ ...OF_PROCESS, 'process.pid': 7 }]);
  });

  it('works on points of delta temporality', () => {
    const process = resourceMetrics(PROCESS, [counter('m', [point(2, { core: 0 })])]);
    expect(attributesOf(converter({ process_attributes: true, temporality: 'delta' }).convert([process]))).toEqual([
      { ...OF_PROCESS, core: 0 },
    ]);
  });

  it('follows a value that changes, and encodes as a fresh converter does', () => {
    const live = { ...point(1, { core: 0 }) };
    const process = resourceMetrics(PROCESS, [gauge('m', [live])]);
    const kept = converter({ process_attributes: true });
    const encoder = new ProtobufEncoder();
    encoder.encode(kept.convert([process]), UNLIMITED);
    Object.assign(live, { value: 5 });
    const again = encoder.encode(kept.convert([process]), UNLIMITED).requests[0]?.body;
    const fresh = new ProtobufEncoder().encode(converter({ process_attributes: true }).convert([process]), UNLIMITED).requests[0]?.body;
    expect(Buffer.compare(again ?? Buffer.alloc(0), fresh ?? Buffer.alloc(1))).toBe(0);
  });
});
