import type { JsonObject } from '../../src/json-object.ts';
import { isFact, runtimeKey } from '../../src/readings.ts';
import type {
  AnyGroupReading,
  CoreCounters,
  ExecutionStats,
  GroupReading,
  InstanceInfo,
  LoadedModel,
  MemoryInfo,
  MemoryUsed,
  NeuronCoreCounters,
  NeuronHardwareInfo,
  NeuronHwCounters,
  NeuronK8sInfo,
  NumberMap,
  PodPlacement,
  RuntimeRef,
  SubgraphMemory,
  VcpuUsage,
} from '../../src/readings.ts';
import type { Report } from '../../src/report.ts';

/** The content of one report. */
export interface ReportReadings {
  /** Readings that no report had before: a tally is in exactly one. */
  readonly readings: Iterable<AnyGroupReading>;
  /** The latest reading of each group of facts. */
  readonly facts: Iterable<AnyGroupReading>;
  /** The processes to list, in this order, also those without a reading. */
  readonly runtimes: readonly RuntimeRef[];
}

/** Members that every release of neuron-monitor since 2.5 prints of a map; readers ask for them unguarded. */
const ERROR_TYPES = ['numerical', 'transient', 'model', 'runtime', 'hardware'] as const;
const OUTCOMES = ['completed', 'completed_with_err', 'completed_with_num_err', 'timed_out', 'incorrect_input', 'failed_to_queue'] as const;
const CPU_MODES = ['user', 'nice', 'system', 'idle', 'io_wait', 'irq', 'soft_irq'] as const;
const HOST_MEMORY = ['application_memory', 'constants', 'dma_buffers', 'tensors'] as const;
const CORE_MEMORY = ['constants', 'model_code', 'model_shared_scratchpad', 'runtime_memory', 'tensors'] as const;
const ECC_COUNTERS = ['mem_ecc_corrected', 'mem_ecc_uncorrected', 'sram_ecc_uncorrected', 'sram_ecc_corrected'] as const;

/**
 * neuron-monitor's document from the readings of native sources. A group is in it whole, with every member that readers ask for, or it is
 * not in it: AWS's own script ends when a member is missing, and leaves out a group that is.
 */
export function reportFromReadings({ readings, facts, runtimes }: ReportReadings): Report {
  const reports = new Map<string, Record<string, JsonObject>>();
  const system: Record<string, JsonObject> = {};
  for (const reading of readings) {
    const members = groupMembers(reading);
    if (members === undefined) continue;
    if (reading.runtime === undefined) {
      if (!isFact(reading.group)) system[reading.group] = members;
      continue;
    }
    const key = runtimeKey(reading.runtime);
    const report = reports.get(key);
    if (report === undefined) reports.set(key, { [reading.group]: members });
    else report[reading.group] = members;
  }
  return { document: { ...processes(runtimes, reports), system_data: orNull(system), ...factMembers(facts) } };
}

function processes(runtimes: readonly RuntimeRef[], reports: ReadonlyMap<string, JsonObject>): JsonObject {
  return {
    neuron_runtime_data: runtimes.map((runtime) => ({
      pid: runtime.pid,
      neuron_runtime_tag: runtime.tag,
      error: runtime.error ?? '',
      report: reports.get(runtimeKey(runtime)) ?? {},
    })),
  };
}

/** neuron-monitor prints null when no system group is in the report. */
function orNull(system: JsonObject): JsonObject | null {
  return Object.keys(system).length === 0 ? null : system;
}

/** Hardware that is not known is null, which AWS's script skips; the instance has all of its members, "" where it is not known. */
function factMembers(facts: Iterable<AnyGroupReading>): JsonObject {
  const members: Record<string, JsonObject> = {};
  for (const reading of facts) {
    const known = groupMembers(reading);
    if (known !== undefined) members[reading.group] = known;
  }
  return {
    instance_info: members['instance_info'] ?? { ...instanceInfo({}), error: '' },
    neuron_hardware_info: members['neuron_hardware_info'] ?? null,
    neuron_k8s_info: members['neuron_k8s_info'],
  };
}

/** Undefined when a member is not known, or when neuron-monitor has no such group. Facts have no period, but for those of Kubernetes. */
function groupMembers(reading: AnyGroupReading): JsonObject | undefined {
  const { periodSeconds, error = '' } = reading;
  const data = dataMembers(reading);
  if (data === undefined) return undefined;
  if (isFact(reading.group)) return { period: periodSeconds, ...data, error };
  return allKnown({ period: periodSeconds ?? (error === '' ? undefined : 0), ...data, error });
}

function dataMembers(reading: AnyGroupReading): JsonObject | undefined {
  switch (reading.group) {
    case 'execution_stats':
      return executionStats(reading.data);
    case 'memory_used':
      return memoryUsed(reading.data);
    case 'neuron_runtime_vcpu_usage':
      return runtimeVcpuUsage(reading);
    case 'neuroncore_counters':
      return coresInUse(reading.data);
    case 'memory_info':
      return memoryInfo(reading.data);
    case 'neuron_hw_counters':
      return hwCounters(reading.data);
    case 'vcpu_usage':
      return vcpuUsage(reading.data);
    case 'instance_info':
      return instanceInfo(reading.data);
    case 'neuron_hardware_info':
      return hardwareInfo(reading.data);
    case 'neuron_k8s_info':
      return k8sInfo(reading.data);
    case 'neuron_device_counters':
      return undefined;
  }
}

/** The members themselves when none of them is undefined. */
function allKnown(members: JsonObject): JsonObject | undefined {
  return Object.values(members).includes(undefined) ? undefined : members;
}

/** The map itself when it has all of these members; it may have more. */
function wholeMap(map: NumberMap | undefined, names: readonly string[]): NumberMap | undefined {
  return map !== undefined && names.every((name) => map[name] !== undefined) ? map : undefined;
}

function executionStats({ error_summary, execution_summary, latency_stats }: ExecutionStats): JsonObject {
  return {
    error_summary: wholeMap(error_summary, ERROR_TYPES),
    execution_summary: wholeMap(execution_summary, OUTCOMES),
    latency_stats: { total_latency: latency_stats?.total_latency ?? null, device_latency: latency_stats?.device_latency ?? null },
  };
}

function memoryUsed({ host, neuron_device, host_breakdown, neuroncore_memory_usage, loaded_models }: MemoryUsed): JsonObject {
  const usage_breakdown = allKnown({
    host: wholeMap(host_breakdown, HOST_MEMORY),
    neuroncore_memory_usage: mapWhole(neuroncore_memory_usage, (kinds) => wholeMap(kinds, CORE_MEMORY)),
  });
  return {
    neuron_runtime_used_bytes: allKnown({ host, neuron_device, usage_breakdown }),
    loaded_models: loaded_models?.map((model) => loadedModel(model)) ?? [],
  };
}

/** `is_running` is false in every capture, under full load as well, and no other source has it. */
function loadedModel({ name, uuid, model_id, is_running = false, subgraphs }: LoadedModel): JsonObject {
  return { name, uuid, model_id, is_running, subgraphs: Object.fromEntries(subgraphs.map((graph) => [graph.name, subgraph(graph)])) };
}

function subgraph({ host, neuron_device, host_breakdown, device_breakdown, ...index }: SubgraphMemory): JsonObject {
  const hasBreakdown = host_breakdown !== undefined || device_breakdown !== undefined;
  return {
    memory_used_bytes: {
      host,
      neuron_device,
      usage_breakdown: hasBreakdown ? { host: host_breakdown, neuron_device: device_breakdown } : undefined,
    },
    neuroncore_index: index.neuroncore_index,
    neuron_device_index: index.neuron_device_index,
  };
}

/** neuron-monitor prints zeros next to the error when it cannot read the CPU time of a process; readers look at the error first. */
function runtimeVcpuUsage({ data: { user, system }, error = '' }: GroupReading<'neuron_runtime_vcpu_usage'>): JsonObject {
  const known = allKnown({ user, system });
  return { vcpu_usage: known ?? (error === '' ? undefined : { user: 0, system: 0 }) };
}

function coresInUse({ neuroncores_in_use }: NeuronCoreCounters): JsonObject {
  return { neuroncores_in_use: mapWhole(neuroncores_in_use, coreCounters) };
}

/** FLOP/s are integers, as neuron-monitor prints them: strict readers stop at a fraction. `nc_v3` is the only documented spelling. */
function coreCounters({ neuroncore_utilization, flops, effective_flops, physical_cores }: CoreCounters): JsonObject | undefined {
  if (neuroncore_utilization === undefined) return undefined;
  return {
    neuroncore_utilization,
    flops: flops && Math.round(flops),
    effective_flops: effective_flops && Math.round(effective_flops),
    v3d: physical_cores && physicalCores(physical_cores),
  };
}

function physicalCores(percents: NumberMap): JsonObject {
  const cores: Record<string, JsonObject> = {};
  for (const index of Object.keys(percents)) cores[`nc_v3.${index}`] = { neuroncore_utilization: percents[index] };
  return cores;
}

function memoryInfo({ memory_total_bytes, memory_used_bytes, swap_total_bytes, swap_used_bytes }: MemoryInfo): JsonObject {
  return { memory_total_bytes, memory_used_bytes, swap_total_bytes, swap_used_bytes };
}

function vcpuUsage({ average_usage, usage_data, context_switch_count }: VcpuUsage): JsonObject {
  return {
    average_usage: wholeMap(average_usage, CPU_MODES),
    usage_data: mapWhole(usage_data, (modes) => wholeMap(modes, CPU_MODES)),
    context_switch_count,
  };
}

/**
 * Devices with all four counters. The format has no word for a counter that the driver does not have: it is 0, as neuron-monitor prints it.
 * A device that could not be read costs itself.
 */
function hwCounters({ neuron_devices, uncounted = [] }: NeuronHwCounters): JsonObject | undefined {
  const zeros = Object.fromEntries(uncounted.map((name) => [name, 0]));
  const entries = neuron_devices?.flatMap(({ neuron_device_index, ecc }) => {
    const counters = wholeMap({ ...zeros, ...ecc }, ECC_COUNTERS);
    return counters === undefined ? [] : [{ neuron_device_index, ...counters }];
  });
  return entries === undefined || entries.length === 0 ? undefined : { neuron_devices: entries };
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

/** Releases before 2.18.3 print the two counts alone, so these have to be known. A device that is newer than the agent has no words. */
function hardwareInfo(info: NeuronHardwareInfo): JsonObject | undefined {
  if (info.neuron_device_count === undefined || info.neuroncore_per_device_count === undefined) return undefined;
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
    neuroncores_k8s_info: mapWhole(info.neuroncores_k8s_info, placement),
    neurondevices_k8s_info: mapWhole(info.neurondevices_k8s_info, placement),
  };
}

function placement({ pod_name, namespace, container_names }: PodPlacement): JsonObject {
  return { pod_name, namespace, container_name: container_names };
}

/**
 * The map converted; undefined when one of its values is not whole. Keys are indexes, and the stream's reader lets no `__proto__` through:
 * a plain assignment is safe.
 */
function mapWhole<T>(map: Readonly<Record<string, T>> | undefined, convert: (value: T) => JsonObject | undefined): JsonObject | undefined {
  if (map === undefined) return undefined;
  const values: Record<string, JsonObject> = {};
  for (const key of Object.keys(map)) {
    const value = map[key];
    const converted = value === undefined ? undefined : convert(value);
    if (converted === undefined) return undefined;
    values[key] = converted;
  }
  return values;
}
