import { JsonMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOtlpExporter } from '../../exporters/otlp/index.ts';
import { otlpSettings } from '../support/settings.ts';
import { OTLP_PROTOCOLS } from '../../exporters/otlp/settings.ts';
import type { OtlpProtocol } from '../../exporters/otlp/settings.ts';
import { HOST, TEST_METRICS, cycle, runtime, testStore } from '../support/metrics.ts';
import type { TestStore } from '../support/metrics.ts';
import { Collector } from './support/collector.ts';
import { parseObject } from './support/json.ts';
import { flatten } from './support/otlp-json.ts';
import type { FlatPoint } from './support/otlp-json.ts';

/** Largest whole number a double holds exactly. */
const LARGEST = Number.MAX_SAFE_INTEGER;

describe('a real Collector writes exactly what an exporter sent', () => {
  let collector: Collector;

  beforeAll(async () => {
    collector = await Collector.start();
  });
  afterAll(() => collector[Symbol.asyncDispose]());

  for (const protocol of OTLP_PROTOCOLS) {
    for (const compression of ['none', 'gzip'] as const) {
      it(`over ${protocol}, compression ${compression}: series, values, start and end times`, async () => {
        const tag = `${protocol} ${compression}`;
        const store = filledStore(tag);
        const sent = stockJson(store.collect());
        const exporter = await createOtlpExporter(otlpSettings({ endpoint: endpointOf(collector, protocol), protocol, compression }));

        const outcome = await exporter.export({ resourceMetrics: store.collect() });
        await exporter.flush(10_000);
        await exporter[Symbol.asyncDispose]();

        expect(outcome).toMatchObject({ outcome: 'sent', points: sent.length });
        const isOurs = (point: FlatPoint): boolean => point.resource['test.transport'] === tag;
        const received = await collector.receives(`${sent.length} points`, (points) => points.filter(isOurs).length >= sent.length);
        expect(received.filter(isOurs).toSorted(bySeries)).toEqual(sent.toSorted(bySeries));
      });
    }
  }
});

function endpointOf(collector: Collector, protocol: OtlpProtocol): string {
  return protocol === 'grpc' ? collector.grpcEndpoint : `${collector.httpEndpoint}/v1/metrics`;
}

/** The host and two processes with every instrument, two cycles each, and values at the edges of their types. */
function filledStore(tag: string): TestStore {
  const store = testStore({ resource: { 'service.name': 'neuron-otel', 'test.transport': tag } });
  for (const second of [10, 11]) {
    for (const entity of [HOST, runtime('a', { 'process.pid': 7, 'neuron.runtime.tag': 'größe "1"\n\u0000' }), runtime('b')]) {
      store.apply(cycle(second, entity), (recorder) => {
        for (let core = 0; core < 3; core += 1) recorder.set(TEST_METRICS.utilization, 33.333 * core + second, { core });
        recorder.set(TEST_METRICS.memory, LARGEST, { core: 0 });
        recorder.set(TEST_METRICS.memory, 0, { core: 1 });
        recorder.add(TEST_METRICS.executions, 3 * second, { outcome: 'completed' });
        recorder.add(TEST_METRICS.executions, 0, { outcome: '' });
        recorder.distribution(
          TEST_METRICS.latency,
          {
            count: 100,
            quantiles: new Map([
              [0, 0.001],
              [0.5, 0.002],
              [0.99, 0.01],
              [1, 0.5],
            ]),
          },
          {},
        );
      });
    }
  }
  return store;
}

/** What was sent, in the words of the OpenTelemetry project's own JSON serializer. */
function stockJson(resourceMetrics: readonly ResourceMetrics[]): FlatPoint[] {
  const documents = resourceMetrics.map((one) => {
    const bytes = JsonMetricsSerializer.serializeRequest(one);
    if (bytes === undefined) throw new Error('the stock serializer gave nothing');
    return parseObject(Buffer.from(bytes).toString('utf8'));
  });
  return flatten(documents);
}

function bySeries(a: FlatPoint, b: FlatPoint): number {
  return a.series < b.series ? -1 : Number(a.series > b.series);
}
