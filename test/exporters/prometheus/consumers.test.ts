import { describe, expect, it } from 'vitest';
import { PageEncoder } from '../../../exporters/prometheus/page.ts';
import { readProcessFacts } from '../../../exporters/prometheus/process-families.ts';
import { replayFixture } from '../../support/replay.ts';
import { familyTypes, parsePage } from './support/parse.ts';
import type { Sample } from './support/parse.ts';

async function legacyPage(fixture: string): Promise<string> {
  const { store } = await replayFixture(fixture);
  const encoder = new PageEncoder({ naming: 'legacy' }, () => readProcessFacts('/proc'));
  const request = { format: 'text', escaping: 'underscores', selection: undefined } as const;
  return encoder.encode(store.collect({ legacy: true }), request).bytes.toString();
}

/** Families that Datadog's aws_neuron check maps (its metrics.py), with the type under which it expects them. */
const DATADOG: readonly (readonly [family: string, type: 'counter' | 'gauge'])[] = [
  ['execution_errors_total', 'counter'],
  ['execution_errors_created', 'gauge'],
  ['execution_latency_seconds', 'gauge'],
  ['execution_status_total', 'counter'],
  ['execution_status_created', 'gauge'],
  ['hardware_ecc_events_total', 'counter'],
  ['hardware_ecc_events_created', 'gauge'],
  ['instance_info', 'gauge'],
  ['neuron_hardware_info', 'gauge'],
  ['neuron_runtime_memory_used_bytes', 'gauge'],
  ['neuron_runtime_vcpu_usage_ratio', 'gauge'],
  ['neuroncore_memory_usage_constants', 'gauge'],
  ['neuroncore_memory_usage_model_code', 'gauge'],
  ['neuroncore_memory_usage_model_shared_scratchpad', 'gauge'],
  ['neuroncore_memory_usage_runtime_memory', 'gauge'],
  ['neuroncore_memory_usage_tensors', 'gauge'],
  ['neuroncore_utilization_ratio', 'gauge'],
  ['process_cpu_seconds_total', 'counter'],
  ['process_max_fds', 'gauge'],
  ['process_open_fds', 'gauge'],
  ['process_resident_memory_bytes', 'gauge'],
  ['process_start_time_seconds', 'gauge'],
  ['process_virtual_memory_bytes', 'gauge'],
  ['system_memory_total_bytes', 'gauge'],
  ['system_memory_used_bytes', 'gauge'],
  ['system_swap_total_bytes', 'gauge'],
  ['system_swap_used_bytes', 'gauge'],
  ['system_vcpu_count', 'gauge'],
  ['system_vcpu_usage_ratio', 'gauge'],
];

/** The rest of its 33: they describe a Python interpreter. */
const DATADOG_PYTHON = [
  'python_gc_collections_total',
  'python_gc_objects_collected_total',
  'python_gc_objects_uncollectable_total',
  'python_info',
];

describe("Datadog's check of neuron-monitor", () => {
  it('finds its families, typed as it expects', async () => {
    const types = familyTypes(await legacyPage('trn1-same-tag'));
    expect([...types].filter(([name]) => DATADOG.some(([family]) => family === name)).toSorted()).toEqual(DATADOG.toSorted());
    expect(DATADOG.length + DATADOG_PYTHON.length).toBe(33);
    for (const name of DATADOG_PYTHON) expect(types.has(name)).toBe(false);
  });

  it('finds the tags its dashboard filters and groups by', async () => {
    const samples = parsePage(await legacyPage('trn1-same-tag')).filter(({ name }) => !name.startsWith('process_'));
    for (const { labels } of samples) {
      expect(Object.keys(labels)).toEqual(
        expect.arrayContaining(['instance_id', 'instance_type', 'availability_zone', 'region', 'subnet_id']),
      );
    }
    const tags = new Set(samples.flatMap(({ labels }) => Object.keys(labels)));
    expect([...tags]).toEqual(
      expect.arrayContaining(['status_type', 'error_type', 'percentile', 'memory_location', 'neuroncore', 'usage_type', 'runtime_tag']),
    );
  });
});

/** `metric_relabel_configs` of the CloudWatch agent's two Neuron pipelines. */
const KEEP_CLASSIC = /^(?:neuron.*|system_.*|execution_.*|hardware_ecc_.*)$/;
const KEEP_OTEL = /^(?:neuron|execution_|hardware_ecc_)/;

/** What classic Container Insights makes of a series: labels renamed as its relabelling does. */
function relabelled({ name, labels }: Sample): Readonly<Record<string, string>> {
  const { neuroncore, neuron_device_index: device, ultraserver_id: ultraServer } = labels;
  return {
    name,
    ...(neuroncore === undefined ? {} : { NeuronCore: `core${neuroncore}` }),
    ...(device === undefined ? {} : { NeuronDevice: `device${device}` }),
    ...(ultraServer === undefined ? {} : { UltraServer: ultraServer }),
  };
}

describe("CloudWatch's scrapers of neuron-monitor", () => {
  it('keep what Container Insights needs', async () => {
    const samples = parsePage(await legacyPage('trn1-same-tag'));
    const kept = new Set(samples.map(({ name }) => name).filter((name) => KEEP_CLASSIC.test(name)));
    expect(DATADOG.map(([name]) => name).filter((name) => !kept.has(name) && !name.startsWith('process_'))).toEqual(['instance_info']);
    const keptByOtel = new Set([...kept].filter((name) => KEEP_OTEL.test(name)));
    for (const family of [
      'neuroncore_utilization_ratio',
      'neuroncore_memory_usage_constants',
      'neuroncore_memory_usage_model_code',
      'neuroncore_memory_usage_model_shared_scratchpad',
      'neuroncore_memory_usage_runtime_memory',
      'neuroncore_memory_usage_tensors',
      'execution_status_total',
      'execution_errors_total',
      'neuron_runtime_memory_used_bytes',
      'execution_latency_seconds',
      'neuron_hardware_info',
      'hardware_ecc_events_total',
    ]) {
      expect([...keptByOtel]).toContain(family);
    }
  });

  it('find core and device where they look for them', async () => {
    const samples = parsePage(await legacyPage('trn1-same-tag')).map((sample) => relabelled(sample));
    expect(samples).toContainEqual({ name: 'neuroncore_utilization_ratio', NeuronCore: 'core0' });
    expect(samples).toContainEqual({ name: 'neuroncore_memory_usage_tensors', NeuronCore: 'core1' });
    expect(samples).toContainEqual({ name: 'hardware_ecc_events_total', NeuronDevice: 'device0' });
  });

  it('can tell cores per device from the hardware family', async () => {
    const info = parsePage(await legacyPage('trn1-same-tag')).find(({ name }) => name === 'neuron_hardware_info');
    expect(Number(info?.labels['neuroncore_per_device_count'])).toBeGreaterThan(0);
    expect(Number(info?.labels['neuron_device_count'])).toBeGreaterThan(0);
    expect(info?.value).toBe('1.0');
  });

  it('get the p50 they keep, and device memory as they name it', async () => {
    const samples = parsePage(await legacyPage('trn1-same-tag'));
    expect(samples.some(({ name, labels }) => name === 'execution_latency_seconds' && labels['percentile'] === 'p50')).toBe(true);
    expect(
      samples.some(({ name, labels }) => name === 'neuron_runtime_memory_used_bytes' && labels['memory_location'] === 'neuron_device'),
    ).toBe(true);
  });
});
