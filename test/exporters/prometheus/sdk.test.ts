import { DataPointType } from '@opentelemetry/sdk-metrics';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { createSdkPrometheusExporter } from '../../../exporters/prometheus/sdk.ts';
import type { SdkPageServices, SdkPageSettings } from '../../../exporters/prometheus/sdk.ts';
import { silentLogger } from '../../../src/log.ts';
import { HOST, TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';
import { prometheusSettings } from '../../support/settings.ts';
import { freePort } from '../../e2e/support/ports.ts';
import { familyTypes, parsePage, sampleKey } from './support/parse.ts';

const SERVICES: SdkPageServices = {
  id: 'prometheus',
  collect: () => Promise.resolve(collection()),
  log: silentLogger,
  onScrape: () => {},
};

/** The host and two processes with every instrument. */
function collection(): readonly ResourceMetrics[] {
  const store = testStore();
  for (const entity of [
    HOST,
    runtime('a', { 'process.pid': 7, 'neuron.runtime.tag': 'größe "1"\n' }),
    runtime('b', { 'process.pid': 8 }),
  ]) {
    store.apply(cycle(10, entity), (recorder) => {
      for (const core of [0, 1]) recorder.set(TEST_METRICS.utilization, 33 + core, { core });
      recorder.set(TEST_METRICS.memory, 2 ** 40, { core: 0 });
      recorder.add(TEST_METRICS.executions, 3, { outcome: 'completed' });
      recorder.distribution(
        TEST_METRICS.latency,
        {
          count: 10,
          quantiles: new Map([
            [0, 0.001],
            [1, 0.5],
          ]),
        },
        {},
      );
    });
  }
  return [store.collectHost(), ...store.collectRuntimes()];
}

async function pageOf(settings: Partial<SdkPageSettings> = {}, path = '/metrics', services = SERVICES): Promise<string> {
  const port = await freePort();
  await using exporter = await createSdkPrometheusExporter(prometheusSettings({ port, ...settings }), services);
  await exporter.start();
  return (await fetch(`http://127.0.0.1:${port}${path}`)).text();
}

/** The gauges and counters that the page must hold: `name{labels}` → value. */
function expectedNumbers(): Record<string, string> {
  const [host] = collection();
  const expected: Record<string, string> = {};
  for (const { resource, scopeMetrics } of collection()) {
    const own = Object.entries(resource.attributes).filter(([name, value]) => host?.resource.attributes[name] !== value);
    for (const metric of scopeMetrics.flatMap(({ metrics }) => metrics)) {
      if (metric.dataPointType !== DataPointType.GAUGE && metric.dataPointType !== DataPointType.SUM) continue;
      const name = metric.descriptor.name.replaceAll('.', '_');
      const isCounter = metric.dataPointType === DataPointType.SUM && metric.isMonotonic;
      for (const { attributes, value } of metric.dataPoints) {
        const labels = Object.fromEntries(
          [...own, ...Object.entries(attributes)].map(([key, one]) => [key.replaceAll('.', '_'), String(one)]),
        );
        expected[sampleKey({ name: isCounter ? `${name}_total` : name, labels, value: '' })] = String(value);
      }
    }
  }
  return expected;
}

describe('the page of the SDK', () => {
  it('has every gauge and counter of the host and of every process, with its value', async () => {
    const samples = parsePage(await pageOf());
    const numbers = Object.fromEntries(samples.map((sample) => [sampleKey(sample), sample.value]));
    expect(numbers).toMatchObject(expectedNumbers());
  });

  it('has the latency of every process in explicit buckets', async () => {
    const samples = parsePage(await pageOf()).filter(({ name }) => name === 'test_latency_bucket');
    const totals = samples.filter(({ labels }) => labels['le'] === '+Inf').map(({ labels, value }) => [labels['process_pid'], value]);
    expect(totals).toEqual([
      [undefined, '10'],
      ['7', '10'],
      ['8', '10'],
    ]);
  });

  it('has one family for the metrics of all resources', async () => {
    expect([...familyTypes(await pageOf()).keys()].filter((name) => name === 'test_utilization')).toHaveLength(1);
  });

  it('is served at the path of the settings only', async () => {
    expect(await pageOf({ telemetry_path: '/other' }, '/metrics')).toBe('');
  });

  it('leaves out target_info where the settings do', async () => {
    expect(familyTypes(await pageOf({ target_info: false })).has('target_info')).toBe(false);
  });

  it('has labels of the scope where the settings do', async () => {
    const [sample] = parsePage(await pageOf({ scope_labels: true })).filter(({ name }) => name === 'test_utilization');
    expect(sample?.labels['otel_scope_name']).toBe('neuroncore_counters');
  });

  it('is refused with the address when the port is taken', async () => {
    const port = await freePort();
    await using first = await createSdkPrometheusExporter(prometheusSettings({ port }), SERVICES);
    await first.start();
    await using second = await createSdkPrometheusExporter(prometheusSettings({ port }), SERVICES);
    await expect(second.start()).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
  });

  it('reports a collection that fails, although the SDK answers 200', async () => {
    const outcomes: string[] = [];
    const services = {
      ...SERVICES,
      collect: () => Promise.reject(new Error('broken')),
      onScrape: ({ outcome }: { readonly outcome: string }) => void outcomes.push(outcome),
    };
    expect(await pageOf({}, '/metrics', services)).toContain('# failed to export metrics: Error: broken');
    expect(outcomes).toEqual(['failed']);
  });
});
