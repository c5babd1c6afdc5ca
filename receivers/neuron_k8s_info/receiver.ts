import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { GroupReading, PodPlacement } from '../../src/readings.ts';
import { deviceOfCore, indexOf } from '../core-index.ts';
import { podAttributes } from '../placement.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuron_k8s_info'> = { group: 'neuron_k8s_info', metrics, receive };

function receive(reading: GroupReading<'neuron_k8s_info'>, recorder: Recorder, context: ReceiverContext): void {
  const { neuroncores_k8s_info: cores, neurondevices_k8s_info: devices } = reading.data;
  for (const [key, placement] of Object.entries(cores ?? {})) {
    const core = indexOf(key, recorder);
    if (core === undefined) continue;
    const device = deviceOfCore(core, context.facts);
    recorder.set(metrics.coreAllocation, 1, { 'neuron.device.index': device, 'neuron.core.index': core, ...podOf(placement) });
  }
  for (const [key, placement] of Object.entries(devices ?? {})) {
    const device = indexOf(key, recorder);
    if (device !== undefined) recorder.set(metrics.deviceAllocation, 1, { 'neuron.device.index': device, ...podOf(placement) });
  }
}

function podOf(placement: PodPlacement): {
  readonly 'k8s.pod.name': string | undefined;
  readonly 'k8s.namespace.name': string | undefined;
  readonly 'k8s.container.name': string | undefined;
} {
  const pod = podAttributes(placement);
  return {
    'k8s.pod.name': pod['k8s.pod.name'],
    'k8s.namespace.name': pod['k8s.namespace.name'],
    'k8s.container.name': pod['k8s.container.name'],
  };
}
