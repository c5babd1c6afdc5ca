import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { DataPointType } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { prometheusText } from '../../../exporters/prometheus/page.ts';
import { replayFixture } from '../../support/replay.ts';
import { familyTypes, parsePage, sampleKey } from './support/parse.ts';

const FIXTURES = ['inf1', 'inf2', 'k8s', 'trn1-32-runtimes', 'trn1-errors', 'trn1-same-tag', 'trn2-lnc1', 'trn2-lnc2'] as const;
const IDENTITY = /^(process\.pid|neuron\.runtime\.tag|k8s\.(pod|namespace|container)\.name|container\.id)$/;

/** The serializer of the OpenTelemetry SDK knows one resource at a time and no exponential histograms. */
function stockPage(collection: readonly ResourceMetrics[], { scope_labels }: { readonly scope_labels: boolean }): string {
  const pages = collection.map((resourceMetrics, index) => {
    const identity = index === 0 ? /^$/ : IDENTITY;
    return new PrometheusSerializer('', false, identity, index > 0, !scope_labels).serialize(withoutHistograms(resourceMetrics));
  });
  // It puts `_total` on every counter, whatever the strategy.
  const counters = new Set(pages.flatMap((page) => [...familyTypes(page)].flatMap(([name, type]) => (type === 'counter' ? [name] : []))));
  return pages.join('\n').replaceAll(/^\w+/gm, (name) => (counters.has(name) ? name.replace(/_total$/, '') : name));
}

function withoutHistograms({ resource, scopeMetrics }: ResourceMetrics): ResourceMetrics {
  const isNumber = (metric: MetricData): boolean =>
    metric.dataPointType === DataPointType.GAUGE || metric.dataPointType === DataPointType.SUM;
  return {
    resource,
    scopeMetrics: scopeMetrics.map(({ scope, metrics }) => ({ scope, metrics: metrics.filter((metric) => isNumber(metric)) })),
  };
}

function numbers(page: string): ReadonlyMap<string, number> {
  return new Map(parsePage(page).map((sample) => [sampleKey(sample), Number(sample.value)]));
}

describe.each(FIXTURES)('gauges and sums of %s', (name) => {
  it.each([false, true])('are what the SDK says they are, scope labels %s', async (scope_labels) => {
    const { store } = await replayFixture(name);
    const collection = store.collect();
    const ours = prometheusText(
      collection.map((resourceMetrics) => withoutHistograms(resourceMetrics)),
      {
        translation_strategy: 'UnderscoreEscapingWithoutSuffixes',
        scope_labels,
      },
    );
    const stock = numbers(stockPage(collection, { scope_labels }));
    expect(stock.size).toBeGreaterThan(10);
    expect(numbers(ours)).toEqual(stock);
  });
});
