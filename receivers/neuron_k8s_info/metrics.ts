import { defineMetrics } from '../../src/metric-table.ts';

const POD = { 'k8s.pod.name': 'string', 'k8s.namespace.name': 'string', 'k8s.container.name': 'string' } as const;

export const metrics = defineMetrics('neuron_k8s_info', {
  coreAllocation: {
    name: 'neuron.core.allocation',
    unit: '{core}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: { 'neuron.device.index': 'int', 'neuron.core.index': 'int', ...POD },
    description: 'Is 1 for each NeuronCore that Kubernetes has given to a pod, whether the pod uses it or not.',
    enabled: true,
    source: { path: 'neuron_k8s_info.neuroncores_k8s_info.*' },
    note: 'The sum over a pod is the number of cores it holds; join it with neuron.core.utilization for cores held and idle.',
  },
  deviceAllocation: {
    name: 'neuron.device.allocation',
    unit: '{device}',
    instrument: 'up_down_counter',
    valueType: 'int',
    attributes: { 'neuron.device.index': 'int', ...POD },
    description: 'Is 1 for each Neuron device that Kubernetes has given to a pod, whether the pod uses it or not.',
    enabled: true,
    source: { path: 'neuron_k8s_info.neurondevices_k8s_info.*' },
  },
});
