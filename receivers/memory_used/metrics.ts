import { defineMetrics } from '../../src/metric-table.ts';
import type { LegacyMapping } from '../../src/metric-table.ts';

const CORE = { 'neuron.device.index': 'int', 'neuron.core.index': 'int' } as const;

/** Kinds that only the driver's sysfs keeps apart; neuron-monitor counts them as runtime memory. */
const FOLDED_INTO_RUNTIME_MEMORY = ['collectives', 'dma_rings', 'driver_memory', 'nonshared_scratchpad', 'notifications', 'uncategorized'];

export const metrics = defineMetrics('memory_used', {
  runtimeMemory: {
    name: 'neuron.runtime.memory.usage',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: { 'neuron.memory.location': ['host', 'device'] },
    description: 'Memory that a Neuron process uses through the Neuron runtime, in host memory and in device memory.',
    enabled: true,
    source: { path: 'memory_used.neuron_runtime_used_bytes.{host,neuron_device}' },
    legacy: [
      {
        name: 'neuron_runtime_memory_used_bytes',
        help: 'Runtime memory used bytes',
        labels: { 'neuron.memory.location': { label: 'memory_location', values: { device: 'neuron_device' } } },
      },
    ],
  },
  hostMemory: {
    name: 'neuron.runtime.host_memory.usage',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: { 'neuron.memory.category': 'string' },
    description: 'Host memory that a Neuron process uses through the Neuron runtime, by kind.',
    enabled: true,
    source: { path: 'memory_used.neuron_runtime_used_bytes.usage_breakdown.host.*' },
    note: 'The kinds add up to neuron.runtime.memory.usage in host memory.',
  },
  coreMemory: {
    name: 'neuron.core.memory.usage',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: { ...CORE, 'neuron.memory.category': 'string' },
    description: 'Device memory that a Neuron process uses for one NeuronCore, by kind.',
    enabled: true,
    source: { path: 'memory_used.neuron_runtime_used_bytes.usage_breakdown.neuroncore_memory_usage.*.*' },
    note: 'The kinds of all cores add up to neuron.runtime.memory.usage in device memory.',
    legacy: [
      coreMemoryFamily('constants'),
      coreMemoryFamily('model_code'),
      coreMemoryFamily('model_shared_scratchpad'),
      coreMemoryFamily('runtime_memory', FOLDED_INTO_RUNTIME_MEMORY),
      coreMemoryFamily('tensors'),
    ],
  },
  modelCount: {
    name: 'neuron.model.count',
    unit: '{model}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: { 'neuron.model.state': ['running', 'loaded'] },
    description: 'Models in the memory of a Neuron process, one for each core that has a copy; loaded means not running.',
    enabled: true,
    source: { path: 'memory_used.loaded_models[].is_running' },
    note: 'neuron-monitor mostly reports models as not running even under full load: trust the sum, not the split.',
  },
  modelMemory: {
    name: 'neuron.model.memory.usage',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: {
      ...CORE,
      'neuron.memory.location': ['host', 'device'],
      'neuron.memory.category': 'string',
      'neuron.model.name': 'string',
      'neuron.model.uuid': 'string',
      'neuron.model.id': 'int',
      'neuron.model.subgraph.name': 'string',
    },
    description: 'Memory of one subgraph of a loaded model, by place and kind.',
    enabled: false,
    source: { path: 'memory_used.loaded_models[].subgraphs.*.memory_used_bytes' },
    note: 'Several series for each model, subgraph and core; part of neuron.core.memory.usage, not in addition to it.',
  },
});

/** The script has one family for each kind, and a label that always says `None`. */
function coreMemoryFamily(category: string, folded: readonly string[] = []): LegacyMapping {
  return {
    name: `neuroncore_memory_usage_${category}`,
    help: `NeuronCore memory utilization for ${category}`,
    where: { 'neuron.memory.category': [category, ...folded] },
    labels: { 'neuron.core.index': { label: 'neuroncore' } },
    constantLabels: { memory_location: 'None' },
  };
}
