import { runtimeKey } from '../../src/readings.ts';
import type {
  AnyGroupReading,
  CoreCounters,
  GroupReading,
  InstanceInfo,
  LoadedModel,
  MemoryInfo,
  MemoryUsed,
  MetricGroup,
  NeuronHardwareInfo,
  NeuronK8sInfo,
  NumberMap,
  PodPlacement,
  RuntimeRef,
  SubgraphMemory,
} from '../../src/readings.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * neuron-monitor's document from the latest reading of each group, for sources that are no stream. `runtimes` are the processes to
 * list, in this order, also those without a reading. What no reading knows is left out,
 * or null where neuron-monitor itself prints null.
 */
export function documentFromReadings(readings: Iterable<AnyGroupReading>, runtimes: readonly RuntimeRef[]): JsonObject {
  const reports = new Map<string, Record<string, JsonObject>>();
  const system: Record<string, JsonObject> = {};
  const facts: Record<string, JsonObject> = {};
  for (const reading of readings) {
    // neuron-monitor has no such group.
    if (reading.group === 'neuron_device_counters') continue;
    const data = groupMembers(reading);
    if (reading.runtime !== undefined) {
      const key = runtimeKey(reading.runtime);
      const report = reports.get(key);
      if (report === undefined) reports.set(key, { [reading.group]: data });
      else report[reading.group] = data;
    } else if (isFact(reading.group)) {
      facts[reading.group] = data;
    } else {
      system[reading.group] = data;
    }
  }
  return {
    neuron_runtime_data: runtimes.map((runtime) => ({
      pid: runtime.pid,
      neuron_runtime_tag: runtime.tag,
      error: runtime.error ?? '',
      report: reports.get(runtimeKey(runtime)) ?? {},
    })),
    system_data: Object.keys(system).length === 0 ? null : system,
    instance_info: facts['instance_info'] ?? { ...instanceInfo({}), error: '' },
    neuron_hardware_info: facts['neuron_hardware_info'] ?? { error: '' },
    neuron_k8s_info: facts['neuron_k8s_info'],
  };
}

type DocumentReading = Exclude<AnyGroupReading, { readonly group: 'neuron_device_counters' }>;

function isFact(group: MetricGroup): boolean {
  return group === 'instance_info' || group === 'neuron_hardware_info' || group === 'neuron_k8s_info';
}

/** Facts have no period, but for those of Kubernetes. */
function groupMembers(reading: DocumentReading): JsonObject {
  return { period: reading.periodSeconds, ...dataMembers(reading), error: reading.error ?? '' };
}

function dataMembers(reading: DocumentReading): JsonObject {
  switch (reading.group) {
    case 'execution_stats':
      return executionStats(reading);
    case 'memory_used':
      return memoryUsed(reading.data);
    case 'neuron_runtime_vcpu_usage':
      return { vcpu_usage: { user: reading.data.user, system: reading.data.system } };
    case 'neuroncore_counters':
      return { neuroncores_in_use: mapValues(reading.data.neuroncores_in_use, coreCounters) };
    case 'memory_info':
      return memoryInfo(reading.data);
    case 'neuron_hw_counters':
      return {
        neuron_devices: reading.data.neuron_devices?.map(({ neuron_device_index, ecc }) => ({ neuron_device_index, ...ecc })) ?? null,
      };
    case 'vcpu_usage': {
      const { average_usage, usage_data, context_switch_count } = reading.data;
      return { average_usage, usage_data, context_switch_count };
    }
    case 'instance_info':
      return instanceInfo(reading.data);
    case 'neuron_hardware_info':
      return hardwareInfo(reading.data);
    case 'neuron_k8s_info':
      return k8sInfo(reading.data);
  }
}

function executionStats({ data }: GroupReading<'execution_stats'>): JsonObject {
  return {
    error_summary: data.error_summary,
    execution_summary: data.execution_summary,
    latency_stats: {
      total_latency: data.latency_stats?.total_latency ?? null,
      device_latency: data.latency_stats?.device_latency ?? null,
    },
  };
}

function memoryUsed(data: MemoryUsed): JsonObject {
  const { host, neuron_device, host_breakdown, neuroncore_memory_usage } = data;
  return {
    neuron_runtime_used_bytes: {
      host,
      neuron_device,
      usage_breakdown:
        host_breakdown === undefined && neuroncore_memory_usage === undefined
          ? undefined
          : { host: host_breakdown, neuroncore_memory_usage },
    },
    loaded_models: data.loaded_models?.map((model) => loadedModel(model)) ?? null,
  };
}

function loadedModel(model: LoadedModel): JsonObject {
  const { name, uuid, model_id, is_running } = model;
  return { name, uuid, model_id, is_running, subgraphs: Object.fromEntries(model.subgraphs.map((graph) => [graph.name, subgraph(graph)])) };
}

function subgraph(graph: SubgraphMemory): JsonObject {
  const { host, neuron_device, host_breakdown, device_breakdown, neuroncore_index, neuron_device_index } = graph;
  return {
    memory_used_bytes: {
      host,
      neuron_device,
      usage_breakdown:
        host_breakdown === undefined && device_breakdown === undefined
          ? undefined
          : { host: host_breakdown, neuron_device: device_breakdown },
    },
    neuroncore_index,
    neuron_device_index,
  };
}

/** `nc_v3` is the only spelling of physical cores that is documented. */
function coreCounters({ neuroncore_utilization, flops, effective_flops, physical_cores }: CoreCounters): JsonObject {
  return { neuroncore_utilization, flops, effective_flops, v3d: physical_cores && physicalCores(physical_cores) };
}

function physicalCores(percents: NumberMap): JsonObject {
  const cores: Record<string, JsonObject> = {};
  for (const index of Object.keys(percents)) cores[`nc_v3.${index}`] = { neuroncore_utilization: percents[index] };
  return cores;
}

function memoryInfo({ memory_total_bytes, memory_used_bytes, swap_total_bytes, swap_used_bytes }: MemoryInfo): JsonObject {
  return { memory_total_bytes, memory_used_bytes, swap_total_bytes, swap_used_bytes };
}

/** All of these are always printed, "" when the metadata service did not say; the ultraserver only where there is one. */
function instanceInfo(info: InstanceInfo): JsonObject {
  return {
    instance_name: info.instance_name ?? '',
    instance_id: info.instance_id ?? '',
    instance_type: info.instance_type ?? '',
    instance_availability_zone: info.instance_availability_zone ?? '',
    instance_availability_zone_id: info.instance_availability_zone_id ?? '',
    instance_region: info.instance_region ?? '',
    ami_id: info.ami_id ?? '',
    subnet_id: info.subnet_id ?? '',
    ultraserver_id: info.ultraserver_id,
  };
}

function hardwareInfo(info: NeuronHardwareInfo): JsonObject {
  return {
    neuron_device_type: info.neuron_device_type,
    neuron_device_version: info.neuron_device_version,
    neuroncore_version: info.neuroncore_version,
    neuron_device_count: info.neuron_device_count,
    neuron_device_memory_size: info.neuron_device_memory_size,
    neuroncore_per_device_count: info.neuroncore_per_device_count,
    logical_neuroncore_config: info.logical_neuroncore_config,
  };
}

function k8sInfo(info: NeuronK8sInfo): JsonObject {
  return {
    neuroncores_k8s_info: mapValues(info.neuroncores_k8s_info, placement),
    neurondevices_k8s_info: mapValues(info.neurondevices_k8s_info, placement),
  };
}

function placement({ pod_name, namespace, container_names }: PodPlacement): JsonObject {
  return { pod_name, namespace, container_name: container_names };
}

/** Keys are indexes, and the stream's reader lets no `__proto__` through: a plain assignment is safe. */
function mapValues<T>(map: Readonly<Record<string, T>> | undefined, convert: (value: T) => JsonObject): JsonObject | undefined {
  if (map === undefined) return undefined;
  const values: Record<string, JsonObject> = {};
  for (const key of Object.keys(map)) {
    const value = map[key];
    if (value !== undefined) values[key] = convert(value);
  }
  return values;
}
