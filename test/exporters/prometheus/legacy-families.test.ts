import { describe, expect, it } from 'vitest';
import { legacyPage, legacyPages } from './support/legacy.ts';
import { familyTypes, parsePage } from './support/parse.ts';
import { readDelimited, textAt } from './support/protobuf.ts';

describe('as the script makes them', () => {
  const latency = (seconds: number | null) => ({ total_latency: seconds === null ? null : { p50: seconds }, device_latency: null });
  const stats = (seconds: number | null) => ({
    neuron_runtime_data: [
      {
        pid: 1,
        neuron_runtime_tag: 't',
        report: {
          execution_stats: {
            period: 5,
            execution_summary: { completed: 1 },
            error_summary: { hardware: 0 },
            latency_stats: latency(seconds),
          },
        },
      },
    ],
  });

  it('families of a group come together and in its order, as bare comments where nothing is to be shown', async () => {
    const types = [...familyTypes(await legacyPage({ ...stats(null), instance_info: {} })).keys()];
    expect(types).toEqual([
      'execution_errors_total',
      'execution_errors_created',
      'execution_status_total',
      'execution_status_created',
      'execution_latency_seconds',
      'instance_info',
    ]);
    expect([...familyTypes(await legacyPage({ neuron_runtime_data: [], instance_info: {} })).keys()]).toEqual(['instance_info']);
  });

  it('a page may end in bare comments, in both formats, and protobuf leaves them out', async () => {
    const pages = await legacyPages(stats(null));
    const comments = '# HELP execution_latency_seconds Execution latency in seconds\n# TYPE execution_latency_seconds gauge\n';
    expect(pages.text.endsWith(`\n${comments}`)).toBe(true);
    expect(pages.openMetrics.endsWith(`\n${comments}# EOF\n`)).toBe(true);
    const families = readDelimited(pages.protobuf);
    expect(families.map((family) => textAt(family, 1))).toEqual(['execution_errors_total', 'execution_status_total']);
  });

  it('families of facts are info metrics where the format has those', async () => {
    const { openMetrics: page } = await legacyPages({
      neuron_runtime_data: [],
      instance_info: {},
      neuron_hardware_info: { neuron_device_count: 1, neuroncore_per_device_count: 4 },
    });
    expect(page).toContain('# HELP instance EC2 instance information\n# TYPE instance info\ninstance_info{');
    expect(page).toContain('# HELP neuron_hardware Neuron Hardware Information\n# TYPE neuron_hardware info\nneuron_hardware_info{');
  });

  it('every host has its row, also where the metadata say nothing and there is no driver', async () => {
    const empty = { instance_id: '', instance_type: '', error: 'no metadata' };
    const none = { neuron_device_count: 0, neuroncore_per_device_count: 0, error: 'no neuron device found' };
    const samples = parsePage(await legacyPage({ neuron_runtime_data: [], instance_info: empty, neuron_hardware_info: none }));
    expect(samples.map(({ name, labels, value }) => [name, labels['instance_id'], labels['neuron_device_count'], value])).toEqual([
      ['instance_info', '', undefined, '1.0'],
      ['neuron_hardware_info', '', '0', '1.0'],
    ]);
  });

  it('ECC events come in one order, whatever the order of the record', async () => {
    const device = { neuron_device_index: 0, sram_ecc_uncorrected: 4, mem_ecc_uncorrected: 2, sram_ecc_corrected: 3, mem_ecc_corrected: 1 };
    const page = await legacyPage({ neuron_runtime_data: [], system_data: { neuron_hw_counters: { neuron_devices: [device] } } });
    const events = parsePage(page).filter(({ name }) => name === 'hardware_ecc_events_total');
    expect(events.map(({ labels, value }) => `${labels['event_type']} ${value}`)).toEqual([
      'mem_ecc_corrected 1.0',
      'mem_ecc_uncorrected 2.0',
      'sram_ecc_corrected 3.0',
      'sram_ecc_uncorrected 4.0',
    ]);
  });

  it('ECC events of several devices come device by device', async () => {
    const devices = [0, 1].map((index) => ({ neuron_device_index: index, mem_ecc_corrected: 1, mem_ecc_uncorrected: 2 }));
    const page = await legacyPage({ neuron_runtime_data: [], system_data: { neuron_hw_counters: { neuron_devices: devices } } });
    const events = parsePage(page).filter(({ name }) => name === 'hardware_ecc_events_total');
    expect(events.map(({ labels }) => `${labels['neuron_device_index']} ${labels['event_type']}`)).toEqual([
      '0 mem_ecc_corrected',
      '0 mem_ecc_uncorrected',
      '1 mem_ecc_corrected',
      '1 mem_ecc_uncorrected',
    ]);
  });

  it('shares of the first record are shown as they are', async () => {
    const zeros = { user: 0, nice: 0, system: 0, idle: 0, io_wait: 0, irq: 0, soft_irq: 0 };
    const page = await legacyPage({
      neuron_runtime_data: [
        {
          pid: 1,
          neuron_runtime_tag: 't',
          report: {
            neuron_runtime_vcpu_usage: { period: 0.0017, vcpu_usage: { user: 25, system: 0 } },
            neuroncore_counters: { period: 0.0017, neuroncores_in_use: { 0: { neuroncore_utilization: 50 } } },
          },
        },
      ],
      system_data: { vcpu_usage: { period: 0.0017, average_usage: zeros, usage_data: { 0: zeros } } },
    });
    expect(parsePage(page).map(({ name, value }) => `${name} ${value}`)).toEqual([
      'neuron_runtime_vcpu_usage_ratio 0.25',
      'neuron_runtime_vcpu_usage_ratio 0.0',
      'neuroncore_utilization_ratio 0.5',
      'system_vcpu_count 1.0',
      'system_vcpu_usage_ratio 0.0',
      'system_vcpu_usage_ratio 0.0',
    ]);
  });
});
