import type { AnyGroupReading, CoreCounters, LoadedModel, MemoryUsed, NumberMap, RuntimeRef, SubgraphMemory } from '../../src/report.ts';
import type { ModelMemory, ModelRecord } from './records.ts';
import type { CoreRates, DeviceWork, ExecutionWork, MemoryKinds, ProcessWork } from './work.ts';

/** What is needed to speak of cores as neuron-monitor does. */
export interface CoreNumbering {
  /** Physical cores of one device. */
  readonly coresPerDevice: number;
  /** Physical cores that form one logical core of this process. */
  readonly logicalCoreConfig: number;
}

/** One process's work in neuron-monitor's shape. */
export function readingsOf(work: ProcessWork, runtime: RuntimeRef, numbering: CoreNumbering): readonly AnyGroupReading[] {
  const readings: AnyGroupReading[] = [];
  if (work.executions !== undefined) readings.push(executionStats(work.executions, runtime));
  const memory = work.devices.flatMap((device) => (device.memory === undefined ? [] : [{ device: device.device, ...device.memory }]));
  if (memory.length > 0) readings.push({ group: 'memory_used', runtime, data: memoryUsed(memory, numbering) });
  const rates = work.devices.flatMap((device) => (device.rates === undefined ? [] : [{ device: device.device, ...device.rates }]));
  if (rates.length > 0) {
    readings.push({
      group: 'neuroncore_counters',
      runtime,
      periodSeconds: Math.max(...rates.map(({ periodSeconds }) => periodSeconds)),
      data: { neuroncores_in_use: Object.fromEntries(rates.flatMap(({ device, cores }) => logicalRates(device, cores, numbering))) },
    });
  }
  return readings;
}

function executionStats({ periodSeconds, summary, errors, latency }: ExecutionWork, runtime: RuntimeRef): AnyGroupReading {
  return {
    group: 'execution_stats',
    runtime,
    periodSeconds,
    data: {
      error_summary: errors,
      execution_summary: summary,
      // Nothing completed, nothing has a latency: as neuron-monitor says it, so that the distribution so far stays in view.
      latency_stats: {
        ...(latency?.total !== undefined && { total_latency: latency.total }),
        ...(latency?.device !== undefined && { device_latency: latency.device }),
      },
      ...(latency !== undefined && { latency_coverage: latency.coverage }),
    },
  };
}

type DeviceMemory = { readonly device: number } & NonNullable<DeviceWork['memory']>;

function memoryUsed(devices: readonly DeviceMemory[], numbering: CoreNumbering): MemoryUsed {
  const host = hostBreakdown(add(devices.map((device) => device.host)));
  const cores = devices.flatMap((device) => logicalMemory(device, numbering));
  const models = devices.flatMap(({ device, models: records }) => records.map((record) => ({ device, record })));
  return {
    host: total(host),
    neuron_device: cores.reduce((sum, [, kinds]) => sum + total(kinds), 0),
    host_breakdown: host,
    neuroncore_memory_usage: Object.fromEntries(cores),
    loaded_models: loadedModels(models),
  };
}

/** Host-wide logical core index → bytes; the physical cores of a logical one are added. */
function logicalMemory({ device, cores }: DeviceMemory, numbering: CoreNumbering): readonly (readonly [string, NumberMap])[] {
  return logicalCores(cores, numbering).map((physical, index) => [logicalKey(device, index, numbering), coreBreakdown(add(physical))]);
}

function logicalRates(device: number, cores: readonly CoreRates[], numbering: CoreNumbering): readonly (readonly [string, CoreCounters])[] {
  const { coresPerDevice, logicalCoreConfig: size } = numbering;
  return logicalCores(cores, numbering).map((physical, index) => {
    const shares = physical.map(({ utilization }) => utilization).filter((share) => share !== undefined);
    const isKnown = shares.length === physical.length;
    const counters: CoreCounters = {
      // neuron-monitor's guide, Trn2: the mean of the two physical cores.
      ...(isKnown && { neuroncore_utilization: shares.reduce((sum, share) => sum + share, 0) / physical.length }),
      effective_flops: physical.reduce((sum, { flopsPerSecond }) => sum + flopsPerSecond, 0),
      ...(isKnown &&
        size > 1 && {
          physical_cores: Object.fromEntries(shares.map((share, core) => [String(device * coresPerDevice + index * size + core), share])),
        }),
    };
    return [logicalKey(device, index, numbering), counters];
  });
}

function logicalCores<T>(cores: readonly T[], { logicalCoreConfig: size }: CoreNumbering): readonly (readonly T[])[] {
  return Array.from({ length: Math.floor(cores.length / size) }, (_, index) => cores.slice(index * size, (index + 1) * size));
}

function logicalKey(device: number, index: number, { coresPerDevice, logicalCoreConfig }: CoreNumbering): string {
  return String(device * Math.floor(coresPerDevice / logicalCoreConfig) + index);
}

function add(kinds: readonly MemoryKinds[]): MemoryKinds {
  const sum = { code: 0, tensors: 0, constants: 0, scratchpad: 0, misc: 0 };
  for (const { code, tensors, constants, scratchpad, misc } of kinds) {
    sum.code += code;
    sum.tensors += tensors;
    sum.constants += constants;
    sum.scratchpad += scratchpad;
    sum.misc += misc;
  }
  return sum;
}

/** Names: the driver's own mapping of kinds to sysfs (neuron_sysfs_metrics.c). neuron-monitor has no host scratchpad: it goes with the rest. */
function hostBreakdown({ code, tensors, constants, scratchpad, misc }: MemoryKinds): NumberMap {
  return { application_memory: misc + scratchpad, constants, dma_buffers: code, tensors };
}

function coreBreakdown({ code, tensors, constants, scratchpad, misc }: MemoryKinds): NumberMap {
  return { constants, model_code: code, model_shared_scratchpad: scratchpad, runtime_memory: misc, tensors };
}

interface PlacedModel {
  readonly device: number;
  readonly record: ModelRecord;
}

/** One entry for each copy of a model: subgraphs belong together while their numbers do not repeat. */
function loadedModels(models: readonly PlacedModel[]): readonly LoadedModel[] {
  const loaded: { readonly model: LoadedModel; readonly subgraphs: SubgraphMemory[] }[] = [];
  for (const { device, record } of models) {
    const subgraph = subgraphOf(device, record);
    const same = loaded.find(
      ({ model, subgraphs }) =>
        model.model_id === record.modelId && model.uuid === record.uuid && subgraphs.every(({ name }) => name !== subgraph.name),
    );
    if (same !== undefined) same.subgraphs.push(subgraph);
    else {
      const subgraphs = [subgraph];
      loaded.push({ model: { name: record.name, uuid: record.uuid, model_id: record.modelId, subgraphs }, subgraphs });
    }
  }
  return loaded.map(({ model }) => model);
}

function subgraphOf(device: number, record: ModelRecord): SubgraphMemory {
  const host = modelHostBreakdown(record.host);
  const { constants, code, misc, tensors } = record.device;
  const onDevice = { constants, model_code: code, runtime_memory: misc, tensors };
  return {
    name: `sg_${String(record.subgraph).padStart(2, '0')}`,
    host: total(host),
    neuron_device: total(onDevice),
    host_breakdown: host,
    device_breakdown: onDevice,
    neuroncore_index: record.core,
    neuron_device_index: device,
  };
}

function modelHostBreakdown({ code, tensors, constants, misc }: ModelMemory): NumberMap {
  return { application_memory: misc, constants, dma_buffers: code, tensors };
}

function total(kinds: NumberMap): number {
  return Object.values(kinds).reduce((sum, bytes) => sum + bytes, 0);
}
