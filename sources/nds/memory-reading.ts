import type { LoadedModel, MemoryUsed, NumberMap, SubgraphMemory } from '../../src/readings.ts';
import { firstLogicalCore, logicalCoreCount } from './core-numbering.ts';
import type { CoreNumbering } from './core-numbering.ts';
import type { ModelMemory, ModelRecord } from './records.ts';
import type { DeviceWork, MemoryKinds } from './work.ts';

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
