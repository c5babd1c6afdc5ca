import { describe, expect, it } from 'vitest';
import type { EscapingScheme } from '../../exporters/prometheus/naming.ts';
import type { PageOptions } from '../../exporters/prometheus/page.ts';
import { freshPages } from '../exporters/prometheus/support/pages.ts';
import type { EncodedPages } from '../exporters/prometheus/support/pages.ts';
import { hostileStore, hostileValues } from '../exporters/prometheus/support/hostile.ts';
import { TEST_METRICS, cycle, runtime, testStore } from '../support/metrics.ts';
import { replayFixture } from '../support/replay.ts';
import { parseAsPrometheus, parseAsPython, samplesOf } from './support/page-parsers.ts';
import type { ParsedSample } from './support/page-parsers.ts';
import { promtoolComplaints } from './support/prometheus.ts';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';

const FIXTURES = [
  'empty',
  'in-container',
  'inf1',
  'inf2',
  'k8s',
  'no-driver',
  'trn1-errors',
  'trn1-one-runtime',
  'trn1-same-tag',
  'trn2-lnc1',
  'trn2-lnc2',
] as const;
const NAMINGS = ['otel', 'legacy', 'both'] as const;

const TEXT = 'text/plain; version=0.0.4';
const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const PROTOBUF = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited';

function pagesOf(
  collection: readonly ResourceMetrics[],
  options: PageOptions = {},
  escaping: EscapingScheme = 'underscores',
): EncodedPages {
  const pages = freshPages(collection, options, escaping);
  expect(pages.conflicts).toEqual([]);
  return pages;
}

/** Every metric switched on, also those that are off by default. */
async function fixturePages(name: string, options: PageOptions): Promise<EncodedPages> {
  const { store } = await replayFixture(name, { isEnabled: () => true });
  return pagesOf(store.collect({ legacy: true }), options);
}

function byKey(samples: readonly ParsedSample[]): ReadonlyMap<string, number> {
  return new Map(
    samples
      .filter(({ labels }) => !labels['__name__']?.endsWith('_created'))
      .map(({ labels, value }) => [JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1))), value]),
  );
}

describe.each(FIXTURES)('pages of %s', (fixture) => {
  it.each(NAMINGS)('mean the same to all parsers of the ecosystem in all formats, %s', async (naming) => {
    const { text, openMetrics, protobuf } = await fixturePages(fixture, { naming });
    const expected = byKey(parseAsPython(text, 'text'));
    expect(expected.size).toBeGreaterThan(5);
    expect(byKey(parseAsPython(openMetrics, 'openmetrics'))).toEqual(expected);
    expect(byKey(samplesOf(parseAsPrometheus(text, TEXT)))).toEqual(expected);
    expect(byKey(samplesOf(parseAsPrometheus(openMetrics, OPENMETRICS)))).toEqual(expected);
    expect(byKey(samplesOf(parseAsPrometheus(protobuf, PROTOBUF)))).toEqual(expected);
  });

  it('give promtool nothing to complain about', async () => {
    const { text } = await fixturePages(fixture, { naming: 'otel' });
    expect(promtoolComplaints(text)).toBe('');
    const withScope = await fixturePages(fixture, { naming: 'otel', scope_labels: true });
    expect(promtoolComplaints(withScope.text)).toBe('');
  });
});

describe('creation times and native histograms', () => {
  it('reach Prometheus with the series they belong to', async () => {
    const { openMetrics, protobuf } = await fixturePages('trn1-same-tag', { naming: 'otel' });
    for (const entries of [parseAsPrometheus(openMetrics, OPENMETRICS), parseAsPrometheus(protobuf, PROTOBUF)]) {
      const executions = entries.filter(({ kind, labels }) => kind === 'series' && nameIn(labels) === 'neuron_executions_total');
      expect(executions.length).toBeGreaterThan(0);
      for (const { createdMs } of executions) expect(Number(createdMs)).toBeGreaterThan(1_700_000_000_000);
    }
    const histograms = parseAsPrometheus(protobuf, PROTOBUF).filter(({ kind }) => kind === 'histogram');
    expect(histograms.map(({ labels }) => nameIn(labels))).toContain('neuron_execution_duration_seconds');
    for (const { count, buckets } of histograms) {
      const counts = (Array.isArray(buckets) ? buckets : []).map((bucket: unknown) =>
        Number((bucket as { readonly count?: unknown }).count),
      );
      expect(counts.reduce((sum, value) => sum + value, 0)).toBe(Number(count ?? 0));
    }
  });
});

describe('names beyond the legacy alphabet', () => {
  it.each([
    ['allow-utf-8', 'test.memory.usage', 'neuron.runtime.tag'],
    ['dots', 'test_dot_memory_dot_usage', 'neuron_dot_runtime_dot_tag'],
    ['values', 'U__test_2e_memory_2e_usage', 'U__neuron_2e_runtime_2e_tag'],
    ['underscores', 'test_memory_usage', 'neuron_runtime_tag'],
  ] as const)('are read back by Prometheus, %s', (escaping, name, label) => {
    const store = testStore();
    const process = runtime('1', { 'process.pid': 1, 'neuron.runtime.tag': 'train' });
    store.apply(cycle(1, process), (recorder) => recorder.set(TEST_METRICS.memory, 5, { core: 0 }));
    const pages = pagesOf(store.collect(), { translation_strategy: 'NoTranslation', target_info: false }, escaping);
    for (const entries of [
      parseAsPrometheus(pages.text, `text/plain; version=1.0.0; escaping=${escaping}`),
      parseAsPrometheus(pages.openMetrics, `${OPENMETRICS}; escaping=${escaping}`),
      parseAsPrometheus(pages.protobuf, PROTOBUF),
    ]) {
      const [sample] = samplesOf(entries);
      expect(sample).toMatchObject({ labels: { __name__: name, [label]: 'train' }, value: 5 });
    }
  });
});

describe('hostile names with both namings', () => {
  it.each(hostileValues())('%s reach every parser as they are: tag, model, pod, instance', (_name, value) => {
    const pages = pagesOf(hostileStore(value).collect({ legacy: true }), { naming: 'both', legacy: { pod_labels: true } });
    const kept = value.slice(0, 1024).toWellFormed();
    for (const samples of readingsOf(pages)) {
      const labelsOf = (name: string) => samples.find(({ labels }) => labels['__name__'] === name)?.labels ?? {};
      const legacy = labelsOf('execution_status_total');
      const model = labelsOf('neuron_model_memory_usage_bytes');
      const names = ['runtime_tag', 'pod_name', 'namespace', 'container_name', 'instance_name', 'status_type'].map((name) => legacy[name]);
      names.push(model['neuron_model_name'], model['neuron_runtime_tag'], model['k8s_pod_name']);
      // To Prometheus an empty label is no label.
      expect(new Set(names.map((name) => name ?? ''))).toEqual(new Set([kept]));
    }
  });
});

describe('hostile tags', () => {
  it.each(hostileValues())('%s reach every parser as they are, cut at 1,024 characters', (_name, value) => {
    const store = testStore();
    store.apply(cycle(1, runtime('1', { 'process.pid': 1, 'neuron.runtime.tag': value })), (recorder) =>
      recorder.add(TEST_METRICS.executions, 1, { outcome: value }),
    );
    const kept = value.slice(0, 1024).toWellFormed();
    const pages = pagesOf(store.collect(), { target_info: false });
    for (const samples of readingsOf(pages)) {
      const { outcome, neuron_runtime_tag: tag } =
        samples.find(({ labels }) => labels['__name__'] === 'test_executions_total')?.labels ?? {};
      // To Prometheus an empty label is no label.
      expect(outcome ?? '').toEqual(kept);
      expect(tag ?? '').toEqual(kept);
    }
  });
});

/** By every parser of the ecosystem. */
function readingsOf(pages: EncodedPages): readonly (readonly ParsedSample[])[] {
  return [
    samplesOf(parseAsPrometheus(pages.text, TEXT)),
    samplesOf(parseAsPrometheus(pages.openMetrics, OPENMETRICS)),
    samplesOf(parseAsPrometheus(pages.protobuf, PROTOBUF)),
    parseAsPython(pages.text, 'text'),
    parseAsPython(pages.openMetrics, 'openmetrics'),
  ];
}

function nameIn(labels: unknown): unknown {
  return typeof labels === 'object' && labels !== null && '__name__' in labels ? labels.__name__ : undefined;
}
