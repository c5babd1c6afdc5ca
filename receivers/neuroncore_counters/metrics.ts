import { defineMetrics } from '../../src/metric-table.ts';
import type { LegacyMapping } from '../../src/metric-table.ts';

const CORE = { 'neuron.device.index': 'int', 'neuron.core.index': 'int' } as const;
const PERCENT = { scale: 0.01, document: 'neuron-monitor user guide, neuroncore_counters: percentage of the captured period' } as const;
const EVERY_PROCESS = 'Every process lists every core of its devices, zeros included: add the values of all processes for one core.';

const LEGACY_UTILIZATION = {
  name: 'neuroncore_utilization_ratio',
  help: 'NeuronCore utilization ratio',
  labels: { 'neuron.core.index': { label: 'neuroncore' } },
  // Every process lists the cores that the others use with 0: a mean would show a busy core as idle.
  fold: 'sum',
  cap: 1,
} as const satisfies LegacyMapping;

export const metrics = defineMetrics('neuroncore_counters', {
  utilization: {
    name: 'neuron.core.utilization',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: CORE,
    description: 'Share of the period in which a NeuronCore was busy with this process.',
    enabled: true,
    source: { path: 'neuroncore_counters.neuroncores_in_use.*.neuroncore_utilization', ...PERCENT },
    note: `${EVERY_PROCESS} Time busy, not speed: a core can be at 1 and still be used poorly.`,
    legacy: [LEGACY_UTILIZATION],
  },
  flops: {
    name: 'neuron.core.flops',
    unit: '{flop}/s',
    instrument: 'gauge',
    valueType: 'double',
    attributes: CORE,
    description: 'Floating-point operations per second of a NeuronCore for this process, averaged over the period.',
    enabled: true,
    source: { path: 'neuroncore_counters.neuroncores_in_use.*.effective_flops, else flops' },
    note: EVERY_PROCESS,
  },
  physicalUtilization: {
    name: 'neuron.physical_core.utilization',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: { ...CORE, 'neuron.physical_core.index': 'int' },
    description: 'Share of the period in which one of the physical cores behind a logical NeuronCore was busy with this process.',
    enabled: true,
    source: { path: 'neuroncore_counters.neuroncores_in_use.*.v3d.*.neuroncore_utilization', ...PERCENT },
    note: 'Present where a logical core joins two physical ones (LNC=2); neuron.core.utilization is then their mean.',
  },
  legacyShortUtilization: {
    name: 'neuron.core.short_utilization',
    legacyOnly: true,
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: CORE,
    description: 'Share of a period too short to say anything, such as that of the first record, which the AWS script shows all the same.',
    enabled: true,
    source: { path: 'neuroncore_counters.neuroncores_in_use.*.neuroncore_utilization', ...PERCENT },
    legacy: [LEGACY_UTILIZATION],
  },
});
