import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reportFromReadings } from '../../../exporters/json-stdout/from-readings.ts';
import { decodeRecord } from '../../../sources/neuron-monitor/decode.ts';
import { parseLine } from '../../../sources/neuron-monitor/lines.ts';
import { isFact } from '../../../src/readings.ts';
import type { AnyGroupReading, RuntimeRef } from '../../../src/readings.ts';
import { asObject, asObjects } from '../../e2e/support/json.ts';
import { fullRecord } from '../../support/neuron-monitor-record.ts';
import { missingMembers, missingMembersOfRecord } from '../../support/required-members.ts';
import { hasSamples, sampleLines } from '../../support/samples.ts';

type JsonObject = Readonly<Record<string, unknown>>;

function parse(text: string): JsonObject {
  const parsed = parseLine(Buffer.from(text));
  if (parsed.outcome === 'malformed') throw parsed.error;
  return parsed.document;
}

/** As it is printed: without members that are undefined. */
function printed(readings: readonly AnyGroupReading[], runtimes: readonly RuntimeRef[] = []): JsonObject {
  const facts = readings.filter(({ group }) => isFact(group));
  return asObject(JSON.parse(JSON.stringify(reportFromReadings({ readings, facts, runtimes }).document)), 'document');
}

/** To readings and back. */
function roundTrip(text: string): JsonObject {
  const { readings, runtimes, failures } = decodeRecord(parse(text));
  expect(failures).toEqual([]);
  return printed(readings, runtimes);
}

/** The record without what readings do not carry, the core's second name of a subgraph, and without groups that are not whole. */
function carried(text: string): JsonObject {
  const record = parse(text.replaceAll(/,"v\d+d?":"nc_v[\d.d]+"/g, ''));
  const system = record['system_data'] === null ? {} : wholeGroups(record['system_data']);
  // Without a driver neuron-monitor prints empty words, which are as good as none.
  const hardware = Object.fromEntries(
    Object.entries(asObject(record['neuron_hardware_info'], 'hardware')).filter(([name, word]) => word !== '' || name === 'error'),
  );
  return {
    ...record,
    neuron_runtime_data: asObjects(record['neuron_runtime_data'], 'neuron_runtime_data').map((runtime) => ({
      ...runtime,
      report: wholeGroups(runtime['report']),
    })),
    system_data: Object.keys(system).length === 0 ? null : system,
    neuron_hardware_info: hardware['neuron_device_count'] === undefined ? null : hardware,
  };
}

function wholeGroups(report: unknown): JsonObject {
  return Object.fromEntries(Object.entries(asObject(report, 'report')).filter(([group, data]) => missingMembers(group, data).length === 0));
}

const RUNTIME = { pid: 1, tag: 'a' };

/** The groups of the only process, and of the host. */
function groupsOf(readings: readonly AnyGroupReading[]): readonly string[] {
  const document = printed(readings, [RUNTIME]);
  const [runtime] = asObjects(document['neuron_runtime_data'], 'neuron_runtime_data');
  return [...Object.keys(asObject(runtime?.['report'], 'report')), ...Object.keys(asObject(document['system_data'] ?? {}, 'system_data'))];
}

const MODES = { user: 1, nice: 0, system: 1, idle: 98, io_wait: 0, irq: 0, soft_irq: 0 };
const KINDS = { constants: 1, model_code: 2, model_shared_scratchpad: 3, runtime_memory: 4, tensors: 5 };
const HOST_KINDS = { application_memory: 1, constants: 2, dma_buffers: 3, tensors: 4 };
const ERRORS = { numerical: 0, transient: 0, model: 0, runtime: 0, hardware: 0 };
const OUTCOMES = { completed: 9, completed_with_err: 0, completed_with_num_err: 0, timed_out: 0, incorrect_input: 0, failed_to_queue: 0 };
const ECC = { mem_ecc_corrected: 1, mem_ecc_uncorrected: 0, sram_ecc_corrected: 0, sram_ecc_uncorrected: 0 };

/** A whole reading of each measured group. */
const WHOLE = {
  execution_stats: {
    group: 'execution_stats',
    periodSeconds: 1,
    runtime: RUNTIME,
    data: { error_summary: ERRORS, execution_summary: OUTCOMES, latency_stats: {} },
  },
  memory_used: {
    group: 'memory_used',
    periodSeconds: 1,
    runtime: RUNTIME,
    data: { host: 10, neuron_device: 15, host_breakdown: HOST_KINDS, neuroncore_memory_usage: { 0: KINDS }, loaded_models: [] },
  },
  neuron_runtime_vcpu_usage: { group: 'neuron_runtime_vcpu_usage', periodSeconds: 1, runtime: RUNTIME, data: { user: 1, system: 2 } },
  neuroncore_counters: {
    group: 'neuroncore_counters',
    periodSeconds: 1,
    runtime: RUNTIME,
    data: { neuroncores_in_use: { 0: { neuroncore_utilization: 3, effective_flops: 4.25 } } },
  },
  memory_info: {
    group: 'memory_info',
    periodSeconds: 1,
    data: { memory_total_bytes: 9, memory_used_bytes: 8, swap_total_bytes: 0, swap_used_bytes: 0 },
  },
  neuron_hw_counters: { group: 'neuron_hw_counters', periodSeconds: 1, data: { neuron_devices: [{ neuron_device_index: 0, ecc: ECC }] } },
  vcpu_usage: {
    group: 'vcpu_usage',
    periodSeconds: 1,
    data: { average_usage: MODES, usage_data: { 0: MODES }, context_switch_count: 7 },
  },
} as const satisfies Readonly<Record<string, AnyGroupReading>>;

function without<Data extends object>(data: Data, member: keyof Data): Data {
  return { ...data, [member]: undefined };
}

describe('a document from readings of a record', () => {
  const folder = resolve(import.meta.dirname, '../../fixtures/neuron-monitor');
  const streams = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ndjson'));

  it('is the record', () => {
    expect(roundTrip(fullRecord())).toEqual(carried(fullRecord()));
  });

  it.each(streams)('has every whole group of the record, and no other: fixture %s', (name) => {
    for (const line of readFileSync(join(folder, name), 'utf8').trimEnd().split('\n')) expect(roundTrip(line)).toEqual(carried(line));
  });

  it.runIf(hasSamples)('has every whole group of the record, and no other: captures (skipped where ../shared/samples is absent)', () => {
    const lines = sampleLines().filter(({ name }) => !name.includes('edited'));
    expect(lines.length).toBeGreaterThan(9);
    for (const { bytes } of lines) expect(roundTrip(bytes.toString('utf8'))).toEqual(carried(bytes.toString('utf8')));
  });
});

describe('a group of a native report', () => {
  it.each(Object.values(WHOLE))('is printed with every member: $group', (reading) => {
    expect(groupsOf([reading])).toEqual([reading.group]);
    expect(missingMembersOfRecord(printed([reading], [RUNTIME]))).toEqual([]);
  });

  it.each([
    { ...WHOLE.execution_stats, data: without(WHOLE.execution_stats.data, 'error_summary') },
    { ...WHOLE.execution_stats, data: { ...WHOLE.execution_stats.data, execution_summary: { completed: 1 } } },
    { ...WHOLE.memory_used, data: without(WHOLE.memory_used.data, 'host') },
    { ...WHOLE.memory_used, data: without(WHOLE.memory_used.data, 'host_breakdown') },
    { ...WHOLE.memory_used, data: { ...WHOLE.memory_used.data, neuroncore_memory_usage: { 0: KINDS, 1: { constants: 1 } } } },
    { ...WHOLE.neuron_runtime_vcpu_usage, data: { user: 1 } },
    { ...WHOLE.neuroncore_counters, data: { neuroncores_in_use: { 0: { neuroncore_utilization: 3 }, 1: { effective_flops: 4 } } } },
    { ...WHOLE.memory_info, data: without(WHOLE.memory_info.data, 'swap_used_bytes') },
    { ...WHOLE.neuron_hw_counters, data: { neuron_devices: [] } },
    { ...WHOLE.neuron_hw_counters, data: { neuron_devices: [{ neuron_device_index: 0, ecc: { mem_ecc_corrected: 1 } }] } },
    { ...WHOLE.vcpu_usage, data: without(WHOLE.vcpu_usage.data, 'average_usage') },
    { ...WHOLE.vcpu_usage, data: without(WHOLE.vcpu_usage.data, 'context_switch_count') },
    { ...WHOLE.vcpu_usage, data: { ...WHOLE.vcpu_usage.data, usage_data: { 0: { idle: 100 } } } },
  ] satisfies readonly AnyGroupReading[])('is not printed when a member is not known: $group, $data', (reading) => {
    expect(groupsOf([reading])).toEqual([]);
  });

  it.each(Object.values(WHOLE))('is not printed without a period, the mark of a first reading: $group', ({ periodSeconds, ...reading }) => {
    expect(periodSeconds).toBe(1);
    expect(groupsOf([reading])).toEqual([]);
  });

  it('has FLOP/s as an integer', () => {
    expect(JSON.stringify(printed([WHOLE.neuroncore_counters], [RUNTIME]))).toContain('"effective_flops":4}');
  });

  it('has null latencies when nothing ran', () => {
    const text = JSON.stringify(printed([WHOLE.execution_stats], [RUNTIME]));
    expect(text).toContain('"latency_stats":{"total_latency":null,"device_latency":null}');
  });

  it('has models that are not running, as every capture does', () => {
    const model = { name: 'm', uuid: 'u', model_id: 3, subgraphs: [] };
    const data = { ...WHOLE.memory_used.data, loaded_models: [model] };
    expect(JSON.stringify(printed([{ ...WHOLE.memory_used, data }], [RUNTIME]))).toContain('"is_running":false');
  });

  it('has zeros next to the error when the CPU time of a process could not be read', () => {
    const reading: AnyGroupReading = { group: 'neuron_runtime_vcpu_usage', runtime: RUNTIME, data: {}, error: 'open /proc/1/stat: …' };
    expect(printed([reading], [RUNTIME])).toMatchObject({
      neuron_runtime_data: [
        { report: { neuron_runtime_vcpu_usage: { period: 0, vcpu_usage: { user: 0, system: 0 }, error: 'open /proc/1/stat: …' } } },
      ],
    });
  });

  it('has 0 for counters that the driver does not have', () => {
    const ecc = { mem_ecc_uncorrected: 2, sram_ecc_uncorrected: 3 };
    const data = { neuron_devices: [{ neuron_device_index: 0, ecc }], uncounted: ['mem_ecc_corrected', 'sram_ecc_corrected'] };
    expect(printed([{ ...WHOLE.neuron_hw_counters, data }])['system_data']).toMatchObject({
      neuron_hw_counters: {
        neuron_devices: [{ mem_ecc_corrected: 0, mem_ecc_uncorrected: 2, sram_ecc_uncorrected: 3, sram_ecc_corrected: 0 }],
      },
    });
  });

  it('leaves out the one device that could not be read', () => {
    const neuron_devices = [
      { neuron_device_index: 0, ecc: ECC },
      { neuron_device_index: 1, ecc: { mem_ecc_uncorrected: 2 } },
    ];
    const system = printed([{ ...WHOLE.neuron_hw_counters, data: { neuron_devices } }])['system_data'];
    const counters = asObject(asObject(system, 'system')['neuron_hw_counters'], 'counters');
    expect(asObjects(counters['neuron_devices'], 'devices').map((device) => device['neuron_device_index'])).toEqual([0]);
  });

  it('has none of the members that neuron-monitor does not print', () => {
    const readings: AnyGroupReading[] = [
      { ...WHOLE.vcpu_usage, data: { ...WHOLE.vcpu_usage.data, cpu_time: { user: 5 } } },
      { ...WHOLE.memory_info, data: { ...WHOLE.memory_info.data, memory_available_bytes: 2 } },
      { ...WHOLE.neuron_runtime_vcpu_usage, data: { user: 1, system: 1, cpu_time: { user: 1, system: 1 }, thread_count: 9 } },
    ];
    const text = JSON.stringify(printed(readings, [RUNTIME]));
    for (const member of ['cpu_time', 'memory_available_bytes', 'thread_count']) expect(text).not.toContain(member);
  });
});

describe('a native report', () => {
  it('lists every process that is alive, with its error, and no other', () => {
    const of = (startTimeMs: number, user: number): AnyGroupReading => ({
      ...WHOLE.neuron_runtime_vcpu_usage,
      runtime: { pid: 1, tag: 't', startTimeMs },
      data: { user, system: 0 },
    });
    const runtimes = [
      { pid: 1, tag: 't', startTimeMs: 99 },
      { pid: 7, tag: 'idle', error: 'no counters' },
    ];
    expect(printed([of(10, 1), of(99, 2)], runtimes)['neuron_runtime_data']).toEqual([
      {
        pid: 1,
        neuron_runtime_tag: 't',
        error: '',
        report: { neuron_runtime_vcpu_usage: { period: 1, vcpu_usage: { user: 2, system: 0 }, error: '' } },
      },
      { pid: 7, neuron_runtime_tag: 'idle', error: 'no counters', report: {} },
    ]);
  });

  it('has null where there is no system group and no hardware, and an instance of empty texts', () => {
    expect(printed([])).toEqual({
      neuron_runtime_data: [],
      system_data: null,
      instance_info: {
        instance_name: '',
        instance_id: '',
        instance_type: '',
        instance_availability_zone: '',
        instance_availability_zone_id: '',
        instance_region: '',
        ami_id: '',
        subnet_id: '',
        error: '',
      },
      neuron_hardware_info: null,
    });
  });

  it('has the counts, and no words, for a kind of device that is newer than the agent', () => {
    const data = { neuron_device_count: 4, neuroncore_per_device_count: 8, logical_neuroncore_config: 2 };
    expect(printed([{ group: 'neuron_hardware_info', data }])['neuron_hardware_info']).toEqual({
      neuron_device_count: 4,
      neuroncore_per_device_count: 8,
      logical_neuroncore_config: 2,
      error: '',
    });
  });
});
