import { JsonMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { JsonEncoder, otlpJson } from '../../../exporters/otlp/json.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { HOST, TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';
import { counter, everyKind, gauge, point, resourceMetrics } from './batches.ts';

describe('otlpJson', () => {
  it('puts every resource into one request', () => {
    const expected = everyKind().map((resource) => parse(stock(resource)).resourceMetrics[0]);
    expect(parse(otlpJson(everyKind())).resourceMetrics).toEqual(expected);
  });

  it('is the text of the SDK for one resource', () => {
    for (const resource of everyKind()) expect(otlpJson([resource])).toEqual(stock(resource));
  });

  it('is an empty request for an empty collection', () => {
    expect(otlpJson([]).toString()).toBe('{"resourceMetrics":[]}');
  });

  it('writes 64-bit integers as numbers, which OTLP receivers must accept, with every digit', () => {
    const text = otlpJson([resourceMetrics({}, [counter('large', [point(2 ** 53 - 1)])])]).toString();
    expect(text).toContain('"asInt":9007199254740991');
  });

  it('writes times as strings of nanoseconds', () => {
    expect(otlpJson([resourceMetrics({}, [gauge('one', [point(1)])])]).toString()).toContain('"timeUnixNano":"1795348800123456789"');
  });
});

describe('JsonEncoder', () => {
  it('splits by points, and repeats resource, scope and description', () => {
    const points = [1, 2, 3].map((value) => point(value, { core: value }));
    const batch = (some: typeof points) => [resourceMetrics({ host: 'a' }, [gauge('neuron.core.utilization', some)])];
    const { requests } = new JsonEncoder().encode(batch(points), { ...UNLIMITED, max_points: 2 });
    expect(requests.map(({ body }) => body)).toEqual([otlpJson(batch(points.slice(0, 2))), otlpJson(batch(points.slice(2)))]);
  });

  it('writes a request that is too large again in halves, until each fits', () => {
    const points = Array.from({ length: 100 }, (_, core) => point(core, { core }));
    const batch = [resourceMetrics({ host: 'a' }, [gauge('neuron.core.utilization', points)])];
    const { requests } = new JsonEncoder().encode(batch, { ...UNLIMITED, max_bytes: 4096 });
    expect(Math.max(...requests.map(({ body }) => body.length))).toBeLessThanOrEqual(4096);
    expect(requests.reduce((sum, one) => sum + one.points, 0)).toBe(100);
  });

  it('gets no number that JSON lacks from the series store, whatever a receiver records', () => {
    const store = testStore();
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e308, 1e308]) {
      store.apply(cycle(10, HOST), (recorder) => {
        recorder.set(TEST_METRICS.utilization, value, { core: 0 });
        recorder.add(TEST_METRICS.executions, value, { outcome: 'completed' });
        const quantiles = new Map([0, 0.5, 1].map((quantile) => [quantile, value] as const));
        recorder.distribution(TEST_METRICS.latency, { count: 1_000_000, quantiles }, {});
      });
      expect(otlpJson(store.collect()).toString()).not.toContain('null');
    }
  });
});

function stock(resource: ResourceMetrics): Buffer {
  return Buffer.from(JsonMetricsSerializer.serializeRequest(resource) ?? []);
}

function parse(text: Buffer): { resourceMetrics: unknown[] } {
  return JSON.parse(text.toString()) as { resourceMetrics: unknown[] };
}
