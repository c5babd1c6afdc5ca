import { ValueType } from '@opentelemetry/api';
import { JsonMetricsSerializer } from '@opentelemetry/otlp-transformer';
import { describe, expect, it } from 'vitest';
import { otlpJson } from '../../../exporters/otlp/json.ts';
import { counter, everyKind, gauge, point, resourceMetrics } from './batches.ts';

describe('otlpJson', () => {
  it('puts every resource into one request', () => {
    const batch = everyKind();
    const expected = batch.map((resource) => parse(stock(resource)).resourceMetrics[0]);
    expect(parse(otlpJson({ resourceMetrics: batch })).resourceMetrics).toEqual(expected);
  });

  it('is what the stock serializer writes for one resource', () => {
    for (const resource of everyKind()) expect(otlpJson({ resourceMetrics: [resource] })).toBe(stock(resource));
  });

  it('writes values that JSON numbers cannot hold in the spelling of the protobuf mapping', () => {
    const metrics = [gauge('odd', [point(Number.NaN), point(Number.POSITIVE_INFINITY), point(Number.NEGATIVE_INFINITY), point(-0)])];
    const text = otlpJson({ resourceMetrics: [resourceMetrics({}, metrics)] });
    expect(text.match(/"asDouble":[^}]+/g)).toEqual([
      '"asDouble":"NaN"',
      '"asDouble":"Infinity"',
      '"asDouble":"-Infinity"',
      '"asDouble":0',
    ]);
  });

  it('never writes a fraction into an integer field', () => {
    const metrics = [counter('odd', [point(1.5), point(-1.5), point(Number.NaN)])];
    const text = otlpJson({ resourceMetrics: [resourceMetrics({}, metrics)] });
    expect(metrics[0]?.descriptor.valueType).toBe(ValueType.INT);
    expect(text.match(/"as[ID][^}]+/g)).toEqual(['"asInt":1', '"asInt":-1', '"asDouble":"NaN"']);
  });

  it('is an empty request for an empty batch', () => {
    expect(otlpJson({ resourceMetrics: [] })).toBe('{"resourceMetrics":[]}');
  });
});

function stock(resource: ReturnType<typeof everyKind>[number]): string {
  return Buffer.from(JsonMetricsSerializer.serializeRequest(resource) ?? []).toString();
}

function parse(text: string): { resourceMetrics: unknown[] } {
  return JSON.parse(text) as { resourceMetrics: unknown[] };
}
