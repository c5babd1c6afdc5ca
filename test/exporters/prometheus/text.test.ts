import { describe, expect, it } from 'vitest';
import { prometheusText } from '../../../exporters/prometheus/page.ts';
import { expectGolden } from '../../support/golden.ts';
import { HOST, TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';
import { hostileStore, hostileValues } from './support/hostile.ts';
import { TestEncoder, freshPages } from './support/pages.ts';
import { parsePage } from './support/parse.ts';

function storeWithEverything() {
  const store = testStore({ resource: { 'service.name': 'test', 'host.id': 'i-0abc', 'host.type': 'trn2.48xlarge' } });
  store.apply(cycle(1), (recorder) => {
    recorder.set(TEST_METRICS.utilization, 42.01, { core: 0 });
    recorder.set(TEST_METRICS.memory, 4096, { core: 0 });
  });
  for (const pid of [41, 42]) {
    const entity = runtime(String(pid), { 'process.pid': pid, 'neuron.runtime.tag': 'train', 'service.name': 'other' });
    store.apply(cycle(1, entity), (recorder) => {
      recorder.set(TEST_METRICS.utilization, pid / 10, { core: 1 });
      recorder.add(TEST_METRICS.executions, pid * 1e9, { outcome: 'completed' });
    });
  }
  return store;
}

describe('text 0.0.4', () => {
  it('shows every process under one header, with the identity of the process as labels', () => {
    expectGolden('prometheus/everything.prom', prometheusText(storeWithEverything().collect()));
  });

  it('shows scope and selected resource attributes when asked to', () => {
    const page = prometheusText(storeWithEverything().collect(), { scope_labels: true, resource_labels: ['host.*'], target_info: false });
    expect(page).toContain(
      'test_memory_usage_bytes{core="0",host_id="i-0abc",host_type="trn2.48xlarge",otel_scope_name="neuroncore_counters",otel_scope_version="0"} 4096\n',
    );
    expect(page).not.toContain('target_info');
  });

  it('leaves identity out when told to, and does not show two series under one name', () => {
    expect(freshPages(storeWithEverything().collect(), { identity_labels: false }).conflicts).toEqual([
      'test_utilization_ratio: two points have the same labels',
      'test_executions_total: two points have the same labels',
    ]);
  });

  it('quotes names that only newer scrapers take', () => {
    const { text } = freshPages(storeWithEverything().collect(), { translation_strategy: 'NoTranslation' }, 'allow-utf-8');
    expectGolden('prometheus/utf8-names.prom', text);
  });

  it('is empty but for the target when nothing is live', () => {
    expect(prometheusText(testStore().collect())).toBe(
      '# HELP target_info Target metadata.\n# TYPE target_info gauge\ntarget_info{service_name="test"} 1\n',
    );
    expect(prometheusText([])).toBe('');
  });
});

describe('OpenMetrics', () => {
  it('has units, creation times and an end', () => {
    expectGolden('prometheus/everything.om', freshPages(storeWithEverything().collect()).openMetrics);
  });
});

describe('a page made from the page before', () => {
  it('shows a metric under the process that has it, when one stops having it and its neighbour begins', () => {
    const store = testStore();
    const encoder = new TestEncoder({ target_info: false });
    const pageOf = (second: number, withCore: string): string => {
      for (const key of ['1', '2']) {
        store.apply(cycle(second, runtime(key, { 'process.pid': Number(key) })), (recorder) => {
          if (key === '1') recorder.add(TEST_METRICS.executions, 1, { outcome: 'ok' });
          if (key === withCore) recorder.set(TEST_METRICS.utilization, 50, { core: 0 });
          if (key === '2') recorder.set(TEST_METRICS.memory, 5, { core: 0 });
        });
      }
      return encoder.text(store.collect());
    };
    for (const [index, withCore] of ['2', '1', '2'].entries()) {
      expect(pageOf(index + 1, withCore)).toContain(`test_utilization_ratio{core="0",process_pid="${withCore}"} 0.5\n`);
    }
  });
});

describe('hostile names on a page with both namings', () => {
  it.each(hostileValues())('%s come back as they went in: tag, model, pod, instance', (_name, value) => {
    const page = prometheusText(hostileStore(value).collect({ legacy: true }), { naming: 'both', legacy: { pod_labels: true } });
    const samples = parsePage(page);
    const kept = value.slice(0, 1024).toWellFormed();
    const labelsOf = (name: string) => samples.find((sample) => sample.name === name)?.labels;
    expect(labelsOf('execution_status_total')).toMatchObject({
      runtime_tag: kept,
      pod_name: kept,
      namespace: kept,
      container_name: kept,
      instance_name: kept,
      status_type: kept,
    });
    expect(labelsOf('neuron_model_memory_usage_bytes')).toMatchObject({
      neuron_model_name: kept,
      neuron_runtime_tag: kept,
      k8s_pod_name: kept,
    });
  });
});

describe('hostile names', () => {
  it.each(hostileValues())('%s come back as they went in', (_name, value) => {
    const store = testStore({ resource: { 'service.name': value } });
    store.apply(cycle(1, runtime('1', { 'process.pid': 1, 'neuron.runtime.tag': value })), (recorder) => {
      recorder.add(TEST_METRICS.executions, 1, { outcome: value });
    });
    const samples = parsePage(prometheusText(store.collect()));
    const kept = value.slice(0, 1024).toWellFormed();
    expect(samples.find(({ name }) => name === 'test_executions_total')?.labels).toEqual({
      outcome: kept,
      process_pid: '1',
      neuron_runtime_tag: kept,
    });
  });
});

it('joins attributes whose label names clash', () => {
  const store = testStore({ resource: { 'a.b': 'x', a_b: 'y', c: 'z' } });
  store.apply(cycle(1, HOST), (recorder) => recorder.set(TEST_METRICS.utilization, 1, { core: 0 }));
  expect(prometheusText(store.collect())).toContain('target_info{a_b="x;y",c="z"} 1\n');
});
