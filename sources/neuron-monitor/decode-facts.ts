import type { InstanceInfo, NeuronHardwareInfo, NeuronK8sInfo, PodPlacement } from '../../src/readings.ts';
import { INDEX_KEY, present } from './fields.ts';
import type { FieldReader } from './fields.ts';

/** neuron-monitor prints "" for what the metadata service did not say; here it is absent. */
export function decodeInstanceInfo(fields: FieldReader): InstanceInfo {
  return present<InstanceInfo>({
    instance_name: fields.filledText('instance_name'),
    instance_id: fields.filledText('instance_id'),
    instance_type: fields.filledText('instance_type'),
    instance_availability_zone: fields.filledText('instance_availability_zone'),
    instance_availability_zone_id: fields.filledText('instance_availability_zone_id'),
    instance_region: fields.filledText('instance_region'),
    ami_id: fields.filledText('ami_id'),
    subnet_id: fields.filledText('subnet_id'),
    ultraserver_id: fields.filledText('ultraserver_id'),
  });
}

/** Tools before 2.18.3 print the two counts only. */
export function decodeHardwareInfo(fields: FieldReader): NeuronHardwareInfo {
  return present<NeuronHardwareInfo>({
    neuron_device_type: fields.filledText('neuron_device_type'),
    neuron_device_version: fields.filledText('neuron_device_version'),
    neuroncore_version: fields.filledText('neuroncore_version'),
    neuron_device_count: fields.number('neuron_device_count'),
    neuron_device_memory_size: fields.number('neuron_device_memory_size'),
    neuroncore_per_device_count: fields.number('neuroncore_per_device_count'),
    logical_neuroncore_config: fields.number('logical_neuroncore_config'),
  });
}

export function decodeK8sInfo(fields: FieldReader): NeuronK8sInfo {
  return present<NeuronK8sInfo>({
    neuroncores_k8s_info: fields.map('neuroncores_k8s_info', INDEX_KEY, decodePlacement),
    neurondevices_k8s_info: fields.map('neurondevices_k8s_info', INDEX_KEY, decodePlacement),
  });
}

/** An empty pod name is a core or device that no pod holds. */
function decodePlacement(holder: FieldReader, key: string): PodPlacement | undefined {
  const pod = holder.object(key);
  const podName = pod?.filledText('pod_name');
  if (pod === undefined || podName === undefined) return undefined;
  const namespace = pod.requiredText('namespace');
  return namespace === undefined ? undefined : { pod_name: podName, namespace, container_names: pod.texts('container_name') ?? [] };
}
