import { defineMetrics } from '../../src/metric-table.ts';

export const metrics = defineMetrics('neuron_hardware_info', {
  deviceCount: {
    name: 'neuron.device.count',
    unit: '{device}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'Neuron devices of the host.',
    enabled: true,
    source: { path: 'neuron_hardware_info.neuron_device_count' },
  },
  coreCount: {
    name: 'neuron.core.count',
    unit: '{core}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: {},
    description: 'Logical NeuronCores of the host.',
    enabled: true,
    source: { path: 'neuron_hardware_info.neuron_device_count times neuroncore_per_device_count' },
  },
  deviceMemory: {
    name: 'neuron.device.memory.limit',
    unit: 'By',
    instrument: 'gauge',
    valueType: 'int',
    attributes: { 'neuron.device.index': 'int' },
    description: 'Memory of one Neuron device.',
    enabled: true,
    source: { path: 'neuron_hardware_info.neuron_device_memory_size' },
  },
  legacyInfo: {
    name: 'neuron.hardware.info',
    legacyOnly: true,
    unit: '1',
    instrument: 'gauge',
    valueType: 'int',
    attributes: { 'neuron.device.count': 'int', 'neuron.device.core_count': 'int', 'neuron.device.memory_size': 'int' },
    description: 'Is 1 on every host with Neuron devices; its attributes say how many and how large.',
    enabled: true,
    source: { path: 'neuron_hardware_info' },
    legacy: [
      {
        name: 'neuron_hardware_info',
        help: 'Neuron Hardware Information',
        isInfo: true,
        labels: {
          'neuron.device.count': { label: 'neuron_device_count' },
          'neuron.device.core_count': { label: 'neuroncore_per_device_count' },
          'neuron.device.memory_size': { label: 'neuron_device_memory_size' },
        },
      },
    ],
  },
});
