import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prometheusText } from '../../../exporters/prometheus/exposition-text.ts';
import { newExposition } from '../../../exporters/prometheus/expositions.ts';
import { ProtobufPageEncoder } from '../../../exporters/prometheus/protobuf.ts';
import { TextPageEncoder } from '../../../exporters/prometheus/text.ts';
import { metrics as executionMetrics } from '../../../receivers/execution_stats/metrics.ts';
import { metrics as coreMetrics } from '../../../receivers/neuroncore_counters/metrics.ts';
import type { Recorder } from '../../../src/receiver.ts';
import { expectGolden } from '../../support/golden.ts';
import { HOST, TEST_METRICS, cycle, runtime, testStore } from '../../support/metrics.ts';
import { hostileStore, hostileValues } from './support/hostile.ts';
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
    const exposition = newExposition('underscores', { identity_labels: false });
    exposition.update(storeWithEverything().collect());
    expect(exposition.conflicts).toEqual([
      'test_utilization_ratio: two points have the same labels',
      'test_executions_total: two points have the same labels',
    ]);
  });

  it('quotes names that only newer scrapers take', () => {
    const exposition = newExposition('allow-utf-8', { translation_strategy: 'NoTranslation' });
    exposition.update(storeWithEverything().collect());
    expectGolden('prometheus/utf8-names.prom', new TextPageEncoder('text').encode(exposition).toString());
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
    const exposition = newExposition('underscores', {});
    exposition.update(storeWithEverything().collect());
    expectGolden('prometheus/everything.om', new TextPageEncoder('openmetrics').encode(exposition).toString());
  });
});

/** What one process shows in one cycle; undefined when it is not there. */
const processes = fc.array(
  fc.option(
    fc.record({
      percent: fc.option(fc.double({ noNaN: true, min: 0, max: 100 }), { freq: 4 }),
      cores: fc.integer({ min: 0, max: 3 }),
      executions: fc.nat(2_000_000_000),
      latencySeconds: fc.option(fc.double({ noNaN: true, min: 1e-5, max: 10 }), { freq: 3 }),
    }),
    { freq: 5, nil: undefined },
  ),
  { minLength: 4, maxLength: 4 },
);

type ProcessCycle = NonNullable<(typeof processes extends fc.Arbitrary<infer T> ? T : never)[number]>;

function record(recorder: Recorder, { percent, cores, executions, latencySeconds }: ProcessCycle): void {
  for (let core = 0; core < cores; core += 1)
    if (percent !== null) recorder.set(coreMetrics.utilization, percent, { 'neuron.device.index': 0, 'neuron.core.index': core });
  recorder.add(executionMetrics.executions, executions, { 'neuron.execution.outcome': 'completed' });
  if (latencySeconds === null) return;
  recorder.distribution(
    executionMetrics.duration,
    {
      count: 3,
      quantiles: new Map([
        [0, latencySeconds],
        [1, latencySeconds * 2],
      ]),
    },
    { 'neuron.latency.type': 'total' },
  );
}

describe('a page made from the page before', () => {
  it('equals a page made anew, whatever comes, goes and changes', () => {
    fc.assert(
      fc.property(fc.array(processes, { minLength: 1, maxLength: 8 }), (steps) => {
        const store = testStore();
        const exposition = newExposition('underscores', { naming: 'both' });
        const encoders = { text: new TextPageEncoder('text'), openmetrics: new TextPageEncoder('openmetrics') };
        const protobuf = new ProtobufPageEncoder();
        for (const [index, living] of steps.entries()) {
          store.retainRuntimes(new Set(living.flatMap((process, pid) => (process === undefined ? [] : [String(pid)]))));
          for (const [pid, process] of living.entries()) {
            const entity = runtime(String(pid), { 'process.pid': pid, 'neuron.runtime.tag': `tag-${pid}` });
            if (process !== undefined)
              store.apply(cycle(index + 1, entity, { group: 'execution_stats' }), (recorder) => record(recorder, process));
          }
          const collection = store.collect({ legacy: true });
          exposition.update(collection);
          const fresh = newExposition('underscores', { naming: 'both' });
          fresh.update(collection);
          for (const dialect of ['text', 'openmetrics'] as const) {
            expect(encoders[dialect].encode(exposition).toString()).toBe(new TextPageEncoder(dialect).encode(fresh).toString());
          }
          expect(Buffer.from(protobuf.encode(exposition)).equals(new ProtobufPageEncoder().encode(fresh))).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('shows a metric under the process that has it, when one stops having it and its neighbour begins', () => {
    const store = testStore();
    const exposition = newExposition('underscores', { target_info: false });
    const pageOf = (second: number, withCore: string): string => {
      for (const key of ['1', '2']) {
        store.apply(cycle(second, runtime(key, { 'process.pid': Number(key) })), (recorder) => {
          if (key === '1') recorder.add(TEST_METRICS.executions, 1, { outcome: 'ok' });
          if (key === withCore) recorder.set(TEST_METRICS.utilization, 50, { core: 0 });
          if (key === '2') recorder.set(TEST_METRICS.memory, 5, { core: 0 });
        });
      }
      exposition.update(store.collect());
      return new TextPageEncoder('text').encode(exposition).toString();
    };
    for (const [index, withCore] of ['2', '1', '2'].entries()) {
      expect(pageOf(index + 1, withCore)).toContain(`test_utilization_ratio{core="0",process_pid="${withCore}"} 0.5\n`);
    }
  });

  it('is the very same page when no number changed, and never changes a page that was handed out', () => {
    const store = testStore();
    const exposition = newExposition('underscores', {});
    const encoder = new TextPageEncoder('text');
    const pageOf = (value: number): Buffer => {
      store.apply(cycle(1), (recorder) => recorder.set(TEST_METRICS.utilization, value, { core: 0 }));
      exposition.update(store.collect());
      return encoder.encode(exposition);
    };
    const first = pageOf(50);
    const text = first.toString();
    expect(pageOf(50)).toBe(first);
    expect(pageOf(12.345).toString()).toContain(' 0.12345\n');
    expect(first.toString()).toBe(text);
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
