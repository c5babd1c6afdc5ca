import type { AnyGroupReading, CoreCounters, LoadedModel, MemoryUsed, NumberMap, RuntimeRef, SubgraphMemory } from '../../src/readings.ts';
import { firstLogicalCore, logicalCoreCount } from './core-numbering.ts';
import type { CoreNumbering } from './core-numbering.ts';
import type { ModelMemory, ModelRecord } from './records.ts';
import type { CoreRates, DeviceWork, ExecutionWork, MemoryKinds, ProcessWork } from './work.ts';

/** One process's work in neuron-monitor's shape. */
export function readingsOf(
  work: ProcessWork,
  runtime: RuntimeRef,
  numbering: CoreNumbering,
  { memoryPeriodSeconds: periodSeconds }: { readonly memoryPeriodSeconds?: number | undefined } = {},
): readonly AnyGroupReading[] {
  const readings: AnyGroupReading[] = [];
  if (work.executions !== undefined) readings.push(executionStats(work.executions, runtime));
  if (work.devices.some(({ memory }) => memory !== undefined)) {
    const data = memoryUsed(work.devices, numbering);
    readings.push({ group: 'memory_used', runtime, data, ...(periodSeconds !== undefined && { periodSeconds }) });
  }
  if (work.devices.some(({ rates }) => rates !== undefined)) readings.push(coreCounters(work.devices, runtime, numbering));
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

function coreCounters(devices: readonly DeviceWork[], runtime: RuntimeRef, numbering: CoreNumbering): AnyGroupReading {
  const cores: Record<number, CoreCounters> = {};
  let periodSeconds = 0;
  for (const { device, rates } of devices) {
    if (rates === undefined) continue;
    periodSeconds = Math.max(periodSeconds, rates.periodSeconds);
    const first = firstLogicalCore(device, numbering);
    const count = logicalCoreCount(rates.cores, numbering);
    for (let index = 0; index < count; index += 1) cores[first + index] = logicalRates(device, rates.cores, index, numbering);
  }
  return { group: 'neuroncore_counters', runtime, periodSeconds, data: { neuroncores_in_use: cores } };
}

/** Logical core `index` of a device. */
function logicalRates(device: number, cores: readonly CoreRates[], index: number, numbering: CoreNumbering): CoreCounters {
  const { coresPerDevice, logicalCoreConfig: size } = numbering;
  let flops = 0;
  let shares = 0;
  let isKnown = true;
  const physicalCores: Record<number, number> = {};
  for (let core = index * size; core < (index + 1) * size; core += 1) {
    const rates = cores[core];
    if (rates === undefined) continue;
    flops += rates.flopsPerSecond;
    if (rates.utilization === undefined) {
      isKnown = false;
      continue;
    }
    shares += rates.utilization;
    if (size > 1) physicalCores[device * coresPerDevice + core] = rates.utilization;
  }
  if (!isKnown) return { effective_flops: flops };
  // neuron-monitor's guide, Trn2: the mean of the two physical cores.
  const counters = { neuroncore_utilization: shares / size, effective_flops: flops };
  return size > 1 ? { ...counters, physical_cores: physicalCores } : counters;
}

/** Memory of one process in neuron-monitor's shape. */
export function memoryUsed(devices: readonly DeviceWork[], numbering: CoreNumbering): MemoryUsed {
  const host = noMemory();
  const cores: Record<number, NumberMap> = {};
  const loaded: Loaded[] = [];
  let deviceBytes = 0;
  for (const { device, memory } of devices) {
    if (memory === undefined) continue;
    addTo(host, memory.host);
    const first = firstLogicalCore(device, numbering);
    const count = logicalCoreCount(memory.cores, numbering);
    for (let index = 0; index < count; index += 1) {
      const kinds = logicalMemory(memory.cores, index, numbering);
      deviceBytes += kinds.constants + kinds.code + kinds.scratchpad + kinds.misc + kinds.tensors;
      cores[first + index] = coreBreakdown(kinds);
    }
    for (const record of memory.models) load(loaded, device, record);
  }
  const breakdown = hostBreakdown(host);
  return {
    host: breakdown.application_memory + breakdown.constants + breakdown.dma_buffers + breakdown.tensors,
    neuron_device: deviceBytes,
    host_breakdown: breakdown,
    neuroncore_memory_usage: cores,
    loaded_models: loaded.map(({ model }) => model),
  };
}

type Sum = { -readonly [Kind in keyof MemoryKinds]: number };

function noMemory(): Sum {
  return { code: 0, tensors: 0, constants: 0, scratchpad: 0, misc: 0 };
}

function addTo(sum: Sum, { code, tensors, constants, scratchpad, misc }: MemoryKinds): void {
  sum.code += code;
  sum.tensors += tensors;
  sum.constants += constants;
  sum.scratchpad += scratchpad;
  sum.misc += misc;
}

/** The physical cores of logical core `index` of a device, added. */
function logicalMemory(cores: readonly MemoryKinds[], index: number, { logicalCoreConfig: size }: CoreNumbering): MemoryKinds {
  const sum = noMemory();
  for (let core = index * size; core < (index + 1) * size; core += 1) {
    const kinds = cores[core];
    if (kinds !== undefined) addTo(sum, kinds);
  }
  return sum;
}

/** Names: the driver's own mapping of kinds to sysfs (neuron_sysfs_metrics.c). neuron-monitor has no host scratchpad: it goes with the rest. */
function hostBreakdown({ code, tensors, constants, scratchpad, misc }: MemoryKinds) {
  return { application_memory: misc + scratchpad, constants, dma_buffers: code, tensors };
}

function coreBreakdown({ code, tensors, constants, scratchpad, misc }: MemoryKinds): NumberMap {
  return { constants, model_code: code, model_shared_scratchpad: scratchpad, runtime_memory: misc, tensors };
}

interface Loaded {
  readonly model: LoadedModel;
  readonly subgraphs: SubgraphMemory[];
}

/** One entry for each copy of a model: subgraphs belong together while their numbers do not repeat. */
function load(loaded: Loaded[], device: number, record: ModelRecord): void {
  const subgraph = subgraphOf(device, record);
  for (const { model, subgraphs } of loaded) {
    if (model.model_id !== record.modelId || model.uuid !== record.uuid || isListed(subgraphs, subgraph.name)) continue;
    subgraphs.push(subgraph);
    return;
  }
  const subgraphs = [subgraph];
  loaded.push({ model: { name: record.name, uuid: record.uuid, model_id: record.modelId, subgraphs }, subgraphs });
}

function isListed(subgraphs: readonly SubgraphMemory[], name: string): boolean {
  for (const subgraph of subgraphs) if (subgraph.name === name) return true;
  return false;
}

function subgraphOf(device: number, record: ModelRecord): SubgraphMemory {
  const host = modelHostBreakdown(record.host);
  const { constants, code, misc, tensors } = record.device;
  return {
    name: `sg_${String(record.subgraph).padStart(2, '0')}`,
    host: host.application_memory + host.constants + host.dma_buffers + host.tensors,
    neuron_device: constants + code + misc + tensors,
    host_breakdown: host,
    device_breakdown: { constants, model_code: code, runtime_memory: misc, tensors },
    neuroncore_index: record.core,
    neuron_device_index: device,
  };
}

function modelHostBreakdown({ code, tensors, constants, misc }: ModelMemory) {
  return { application_memory: misc, constants, dma_buffers: code, tensors };
}
