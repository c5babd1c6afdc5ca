import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { prometheusText } from '../../../exporters/prometheus/page.ts';
import { definitionOf } from '../../../src/metric-table.ts';
import { expectGolden } from '../../support/golden.ts';
import { Replay, fixtureDocuments, replayFixture } from '../../support/replay.ts';
import { legacyPage } from './support/legacy.ts';
import { TestEncoder } from './support/pages.ts';
import { familyTypes, parsePage, sampleKey } from './support/parse.ts';
import { hasSamples, sampleDocument, sampleText } from './support/samples.ts';

const LEGACY = { naming: 'legacy' } as const;
const FIXTURES = [
  'inf1',
  'inf2',
  'in-container',
  'no-driver',
  'k8s',
  'trn1-one-runtime',
  'trn1-errors',
  'trn1-same-tag',
  'trn2-lnc1',
  'trn2-lnc2',
  'empty',
] as const;

/** Labels of the instance, which all series have in common. */
const INSTANCE_LABELS = ['availability_zone', 'instance_id', 'instance_name', 'instance_type', 'region', 'subnet_id', 'ultraserver_id'];

/** The samples that the points of a collection lead to by the mappings of their rows, worked out one by one: key → value. */
function samplesOfPoints(collection: readonly ResourceMetrics[]): ReadonlyMap<string, number> {
  const values = new Map<string, { readonly isMean: boolean; readonly byProcess: Map<unknown, number> }>();
  for (const { resource, scopeMetrics } of collection) {
    const tag = resource.attributes['neuron.runtime.tag'];
    for (const { descriptor, dataPoints } of scopeMetrics.flatMap(({ metrics }) => metrics)) {
      const row = definitionOf(descriptor);
      for (const mapping of row?.legacy ?? []) {
        const isMean = (mapping.fold ?? (row?.instrument === 'counter' || row?.unit === 'By' ? 'sum' : 'mean')) === 'mean';
        for (const { attributes, value } of dataPoints) {
          const isIn = Object.entries(mapping.where ?? {}).every(([name, allowed]) => allowed.includes(String(attributes[name])));
          if (typeof value !== 'number' || !isIn) continue;
          const renamed = Object.entries(mapping.labels ?? {}).flatMap(([name, { label, values: names = {} }]) => {
            const text = String(attributes[name]);
            return attributes[name] === undefined ? [] : [[label, names[text] ?? text]];
          });
          const labels = { ...Object.fromEntries(renamed), ...mapping.constantLabels, ...(tag !== undefined && { runtime_tag: tag }) };
          const key = sampleKey({ name: mapping.name, labels, value: '' });
          const sample = values.get(key) ?? { isMean, byProcess: new Map() };
          values.set(key, sample);
          sample.byProcess.set(resource, (sample.byProcess.get(resource) ?? 0) + value);
        }
      }
    }
  }
  return new Map(
    [...values].map(([key, { isMean, byProcess }]) => {
      const sum = [...byProcess.values()].reduce((total, value) => total + value, 0);
      return [key, isMean ? sum / byProcess.size : sum];
    }),
  );
}

function samplesOfPage(page: string): ReadonlyMap<string, number> {
  return new Map(
    parsePage(page)
      .filter(({ name }) => !name.endsWith('_created'))
      .map((sample) => {
        const labels = Object.fromEntries(Object.entries(sample.labels).filter(([label]) => !INSTANCE_LABELS.includes(label)));
        return [sampleKey({ ...sample, labels }), Number(sample.value)];
      }),
  );
}

describe('the page of neuron-monitor-prometheus.py', () => {
  it('is its golden for trn1-errors', async () => {
    const { store } = await replayFixture('trn1-errors');
    expectGolden('prometheus/legacy-trn1-errors.prom', prometheusText(store.collect({ legacy: true }), LEGACY));
  });

  it.each(FIXTURES)('has the points of %s as their rows map them', async (name) => {
    const { store } = await replayFixture(name);
    const collection = store.collect({ legacy: true });
    const samples = samplesOfPage(prometheusText(collection, LEGACY));
    const expected = samplesOfPoints(collection);
    expect([...samples.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
    const wrong = [...expected].filter(([key, value]) => Math.abs((samples.get(key) ?? Number.NaN) - value) > 1e-12 * Math.abs(value));
    expect(wrong).toEqual([]);
  });

  it('is empty when nothing is live', () => {
    expect(prometheusText(new Replay().store.collect({ legacy: true }), LEGACY)).toBe('');
  });
});

describe.skipIf(!hasSamples)('real pages (when ../shared/samples is there)', () => {
  const real = 'prom-inf1.xlarge-idle-2023.txt';
  const record = 'json-inf1.xlarge-idle-2023.json';

  it('every series of the inf1 page is on ours, under the same HELP and TYPE', async () => {
    const page = await legacyPage(sampleDocument(record));
    const ours = new Set(parsePage(page).map((sample) => sampleKey(sample)));
    const theirs = parsePage(sampleText(real)).filter(({ name }) => !OWN_OF_PYTHON.test(name));
    expect(theirs).toHaveLength(12);
    for (const sample of theirs) expect(ours).toContain(sampleKey(sample));
    const comments = sampleText(real)
      .split('\n')
      .filter((line) => line.startsWith('# ') && !OWN_OF_PYTHON.test(line.split(' ')[2] ?? ''));
    for (const comment of comments) expect(page).toContain(`${comment}\n`);
  });

  it('comments and series come in the order of the inf1 page', async () => {
    // Releases of 2023 had no hardware family yet; no two pages have the same values.
    const order = (page: string): readonly string[] =>
      page
        .split('\n')
        .flatMap((line) =>
          / (?:python_|process_|neuron_hw)|^(?:python_|process_)|neuron_hardware_info/.test(line) ? [] : [line.replace(/(?<=\}) \S+$/, '')],
        );
    expect(order(await legacyPage(sampleDocument(record)))).toEqual(order(sampleText(real)));
  });

  it('label order, number style and creation families are those of the inf1 page', async () => {
    const page = await legacyPage(sampleDocument(record));
    const sameLine = sampleText(real)
      .split('\n')
      .find((line) => line.startsWith('system_memory_total_bytes'));
    expect(page).toContain(`${sameLine}\n`);
    const created = parsePage(sampleText(real)).filter(({ name }) => name === 'hardware_ecc_events_created');
    const ours = parsePage(page).map((sample) => sampleKey(sample));
    for (const sample of created) expect(ours).toContain(sampleKey(sample));
    expect(page).toMatch(/^hardware_ecc_events_created\{[^}]*\} 1\.\d+e\+09$/m);
  });

  it('every value follows the record', async () => {
    const document = sampleDocument(record) as unknown as typeof SHAPE;
    const { memory_info: memory, vcpu_usage: vcpu } = document.system_data;
    const { user, nice, system, io_wait, irq, soft_irq } = vcpu.average_usage;
    const expected: Record<string, number> = {
      system_memory_total_bytes: memory.memory_total_bytes,
      system_memory_used_bytes: memory.memory_used_bytes,
      system_swap_total_bytes: memory.swap_total_bytes,
      system_swap_used_bytes: memory.swap_used_bytes,
      system_vcpu_count: Object.keys(vcpu.usage_data).length,
      'system_vcpu_usage_ratio user': Math.min(user + nice, 100) / 100,
      'system_vcpu_usage_ratio system': Math.min(system + io_wait + irq + soft_irq, 100) / 100,
      instance_info: 1,
      neuron_hardware_info: 1,
      hardware_ecc_events_total: 0,
    };
    const samples = parsePage(await legacyPage(document)).filter(({ name }) => !name.endsWith('_created'));
    const keyed = samples.map(({ name, labels, value }) => [[name, labels['usage_type']].join(' ').trim(), Number(value)]);
    expect(Object.fromEntries(keyed)).toEqual(expected);
  });

  it('families, types, HELP texts and label names of the trn1n page are ours', async () => {
    const excerpt = sampleText('prom-trn1n.32xlarge-excerpt-contrib-test-2024.txt');
    const page = await legacyPage(sampleDocument('json-trn1n.32xlarge-2runtimes-edited-cwagent-test-2024.json'));
    const theirs = labelNames(excerpt);
    expect(Object.keys(theirs).length).toBeGreaterThan(15);
    expect(labelNames(page)).toEqual({ ...labelNames(page), ...theirs });
    expect(ownTypes(page)).toEqual({ ...ownTypes(page), ...ownTypes(excerpt) });
  });
});

/** Families of the Python client itself, and creation times, which no two runs share. */
const OWN_OF_PYTHON = /^(python_|process_)|_created$/;

function labelNames(text: string): Readonly<Record<string, readonly string[]>> {
  const samples = parsePage(text).filter(({ name }) => !/^(python_|process_)/.test(name));
  return Object.fromEntries(samples.map(({ name, labels }) => [name, Object.keys(labels)]));
}

function ownTypes(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...familyTypes(text)].filter(([name]) => !/^(python_|process_)/.test(name)));
}

/** As far as this test reads a record. */
declare const SHAPE: {
  readonly system_data: {
    readonly memory_info: Readonly<Record<'memory_total_bytes' | 'memory_used_bytes' | 'swap_total_bytes' | 'swap_used_bytes', number>>;
    readonly vcpu_usage: {
      readonly average_usage: Readonly<Record<'user' | 'nice' | 'system' | 'io_wait' | 'irq' | 'soft_irq', number>>;
      readonly usage_data: Readonly<Record<string, unknown>>;
    };
  };
  readonly [member: string]: unknown;
};

describe('processes with one tag', () => {
  const CORE = { neuroncore_utilization: 50 };
  const runtime = (pid: number, completed: number, percent: number, bytes: number) => ({
    pid,
    neuron_runtime_tag: 'train',
    error: '',
    report: {
      execution_stats: {
        period: 5,
        error_summary: { hardware: 1 },
        execution_summary: { completed },
        latency_stats: { total_latency: { p50: pid / 1000 }, device_latency: null },
        error: '',
      },
      memory_used: { period: 5, neuron_runtime_used_bytes: { host: bytes, neuron_device: 0 }, loaded_models: [], error: '' },
      neuroncore_counters: { period: 5, neuroncores_in_use: { 0: { ...CORE, neuroncore_utilization: percent } }, error: '' },
    },
  });

  const valueIn = (page: string, name: string): string | undefined => parsePage(page).find((sample) => sample.name === name)?.value;

  it('have their counters, bytes and shares of a core added, and their latencies averaged', async () => {
    const page = await legacyPage({ neuron_runtime_data: [runtime(10, 100, 50, 1000), runtime(20, 50, 25, 500)], system_data: null });
    const valueOf = (name: string): string | undefined => valueIn(page, name);
    expect(valueOf('execution_status_total')).toBe('150.0');
    expect(valueOf('execution_errors_total')).toBe('2.0');
    expect(valueOf('neuron_runtime_memory_used_bytes')).toBe('1500.0');
    expect(valueOf('neuroncore_utilization_ratio')).toBe('0.75');
    expect(valueOf('execution_latency_seconds')).toBe('0.015');
  });

  it('show a busy core as busy when seven of eight ranks list it with 0', async () => {
    const ranks = Array.from({ length: 8 }, (_, rank) => ({ ...runtime(rank + 1, 1, rank === 3 ? 90 : 0, 1), neuron_runtime_tag: '1' }));
    const page = await legacyPage({ neuron_runtime_data: ranks, system_data: null });
    expect(valueIn(page, 'neuroncore_utilization_ratio')).toBe('0.9');
  });

  it('show a core as busy all the time when their shares, each rounded, come to more', async () => {
    const page = await legacyPage({ neuron_runtime_data: [runtime(10, 1, 60.5, 1), runtime(20, 1, 39.75, 1)], system_data: null });
    expect(valueIn(page, 'neuroncore_utilization_ratio')).toBe('1.0');
  });

  it('show the share of the process that goes on when the other one ends', async () => {
    const replay = new Replay();
    const encoder = new TestEncoder(LEGACY);
    const shareAfter = async (...runtimes: readonly unknown[]): Promise<string | undefined> => {
      await replay.feed({ neuron_runtime_data: runtimes, system_data: null });
      return valueIn(encoder.text(replay.store.collect({ legacy: true })), 'neuroncore_utilization_ratio');
    };
    expect(await shareAfter(runtime(10, 1, 50, 1), runtime(20, 1, 25, 1))).toBe('0.75');
    expect(await shareAfter(runtime(20, 1, 25, 1))).toBe('0.25');
    expect(await shareAfter(runtime(20, 1, 25, 1), runtime(30, 1, 12.5, 1))).toBe('0.375');
  });

  it('leave the share of a process alone as it is reported, as the script does', async () => {
    const page = await legacyPage({ neuron_runtime_data: [runtime(10, 1, 100.5, 1)], system_data: null });
    expect(valueIn(page, 'neuroncore_utilization_ratio')).toBe('1.005');
  });

  it('stay apart when the pid is asked for', async () => {
    const replay = new Replay();
    await replay.feed({ neuron_runtime_data: [runtime(10, 100, 80, 1000), runtime(20, 50, 20, 500)], system_data: null });
    const page = prometheusText(replay.store.collect({ legacy: true }), { ...LEGACY, legacy: { process_label: true } });
    const pids = parsePage(page).filter(({ name }) => name === 'execution_status_total');
    expect(pids.map(({ labels, value }) => [labels['pid'], value])).toEqual([
      ['10', '100.0'],
      ['20', '50.0'],
    ]);
  });

  it('leave one by one; the last takes the series with it, and null latency takes the percentiles', async () => {
    const replay = new Replay();
    const encoder = new TestEncoder(LEGACY);
    const pageAfter = async (...runtimes: readonly unknown[]): Promise<string> => {
      await replay.feed({ neuron_runtime_data: runtimes, system_data: null });
      return encoder.text(replay.store.collect({ legacy: true }));
    };
    await pageAfter(runtime(10, 100, 80, 1000), runtime(20, 50, 20, 500));
    // The counter keeps the hundred of the process that ended: a fall would look like a reset.
    const alone = await pageAfter(runtime(20, 5, 20, 500));
    expect(alone).toMatch(/^execution_status_total\{.*\} 155\.0$/m);
    expect(alone).toMatch(/^neuron_runtime_memory_used_bytes\{.*"host".*\} 500\.0$/m);
    expect(await pageAfter(runtime(20, 5, 20, 500), runtime(30, 1, 20, 500))).toMatch(/^execution_status_total\{.*\} 161\.0$/m);
    const idle = runtime(20, 0, 0, 500);
    Object.assign(idle.report.execution_stats, { latency_stats: { total_latency: null, device_latency: null } });
    const quiet = await pageAfter(idle);
    expect(parsePage(quiet).filter(({ name }) => name === 'execution_latency_seconds')).toEqual([]);
    // The script makes the families of a group together: the comments are there.
    expect(familyTypes(quiet).get('execution_latency_seconds')).toBe('gauge');
    expect(await pageAfter()).not.toContain('execution_status_total');
  });
});

it('shows instance metadata that came late', async () => {
  const replay = new Replay();
  const encoder = new TestEncoder(LEGACY);
  const page = async (instance: object): Promise<string> => {
    await replay.feed({ neuron_runtime_data: [], system_data: { memory_info: { memory_total_bytes: 1 } }, ...instance });
    return encoder.text(replay.store.collect({ legacy: true }));
  };
  expect(await page({})).toContain('system_memory_total_bytes{availability_zone="",instance_id="",');
  expect(await page({ instance_info: { instance_id: 'i-0abc', instance_availability_zone: 'us-east-2a', error: '' } })).toContain(
    'system_memory_total_bytes{availability_zone="us-east-2a",instance_id="i-0abc",',
  );
});

it('shows pods when asked to', async () => {
  const replay = new Replay();
  for (const document of fixtureDocuments('k8s')) await replay.feed(document);
  const page = prometheusText(replay.store.collect({ legacy: true }), { ...LEGACY, legacy: { pod_labels: true } });
  const labels = parsePage(page).find(({ name }) => name === 'neuroncore_utilization_ratio')?.labels;
  expect(Object.keys(labels ?? {})).toEqual(Object.keys(labels ?? {}).toSorted());
  expect(labels).toHaveProperty('pod_name');
});

it('shows both namings on one page, the legacy rows only once', async () => {
  const { store } = await replayFixture('trn1-one-runtime');
  const page = prometheusText(store.collect({ legacy: true }), { naming: 'both' });
  const types = familyTypes(page);
  expect(types.get('neuroncore_utilization_ratio')).toBe('gauge');
  expect(types.get('neuron_core_utilization_ratio')).toBe('gauge');
  expect([...types.keys()].filter((name) => name.startsWith('neuron_host_vcpu'))).toEqual([]);
  expect(new Set(parsePage(page).map((sample) => sampleKey(sample))).size).toBe(parsePage(page).length);
});
