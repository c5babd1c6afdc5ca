import { defineMetrics } from '../../src/metric-table.ts';

const CORE = { 'neuron.device.index': 'int', 'neuron.core.index': 'int' } as const;
const EVERY_PROCESS = 'Every process lists every core of its devices, zeros included: add the values of all processes for one core.';

export const metrics = defineMetrics('neuroncore_counters', {
  utilization: {
    name: 'neuron.core.utilization',
    unit: '1',
    instrument: 'gauge',
    valueType: 'double',
    attributes: CORE,
    description: 'Share of the period in which a NeuronCore was busy with this process.',
    enabled: true,
    source: {
      path: 'neuroncore_counters.neuroncores_in_use.*.neuroncore_utilization',
      scale: 0.01,
      document: 'neuron-monitor user guide, neuroncore_counters: percentage of the captured period',
    },
    note: `${EVERY_PROCESS} Time busy, not speed: a core can be at 1 and still be used poorly.`,
    legacy: [
      {
        name: 'neuroncore_utilization_ratio',
        help: 'NeuronCore utilization ratio',
        labels: { 'neuron.core.index': { label: 'neuroncore' } },
      },
    ],
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
    source: {
      path: 'neuroncore_counters.neuroncores_in_use.*.v3d.*.neuroncore_utilization',
      scale: 0.01,
      document: 'neuron-monitor user guide, neuroncore_counters: percentage of the captured period',
    },
    note: 'Present where a logical core joins two physical ones (LNC=2); neuron.core.utilization is then their mean.',
  },
});
