import { runtimeKey } from '../../src/readings.ts';
import type {
  AnyGroupReading,
  CoreCounters,
  DeviceErrors,
  ExecutionStats,
  GroupData,
  GroupReading,
  InstanceInfo,
  LoadedModel,
  MemoryInfo,
  MemoryUsed,
  MetricGroup,
  NeuronCoreCounters,
  NeuronHardwareInfo,
  NeuronHwCounters,
  NeuronK8sInfo,
  NumberMap,
  PodPlacement,
  RuntimeRef,
  RuntimeVcpuUsage,
  SubgraphMemory,
  VcpuUsage,
} from '../../src/readings.ts';
import type { SourceFailure } from '../../src/source.ts';
import { FieldReader, INDEX_KEY, Refusals, present } from './fields.ts';
import type { JsonObject } from '../../src/json-object.ts';

/** The largest trn2 host has 128 physical cores, and a process holds at least one. */
const MAX_RUNTIMES = 1024;

export interface DecodedRecord {
  readonly readings: readonly AnyGroupReading[];
  /** Processes of `neuron_runtime_data`, each once; absent when the record says nothing about processes. */
  readonly runtimes?: readonly RuntimeRef[];
  readonly failures: readonly SourceFailure[];
}

/**
 * A document of neuron-monitor as typed readings. Takes every shape seen or documented: null or absent anywhere, unknown members,
 * any member order, whole or fractional numbers. What is wrong is refused field by field and listed next to what is right.
 * Source of the shapes: neuron-monitor user guide and published captures.
 */
export function decodeRecord(document: JsonObject): DecodedRecord {
  const refusals = new Refusals();
  const root = new FieldReader(document, refusals);
  const readings: AnyGroupReading[] = [];
  const runtimes = decodeRuntimes(root, readings);
  const system = root.object('system_data');
  if (system !== undefined) {
    collect(readings, readGroup(system, 'memory_info', decodeMemoryInfo));
    collect(readings, readGroup(system, 'neuron_hw_counters', decodeHwCounters));
    collect(readings, readGroup(system, 'vcpu_usage', decodeVcpuUsage));
  }
  collect(readings, readGroup(root, 'instance_info', decodeInstanceInfo));
  collect(readings, readGroup(root, 'neuron_hardware_info', decodeHardwareInfo));
  collect(readings, readGroup(root, 'neuron_k8s_info', decodeK8sInfo));
  return { readings, failures: refusals.list(), ...(runtimes === undefined ? {} : { runtimes }) };
}

function decodeRuntimes(root: FieldReader, readings: AnyGroupReading[]): readonly RuntimeRef[] | undefined {
  const entries = root.objects('neuron_runtime_data');
  if (entries === undefined) return undefined;
  const runtimes = new Map<string, RuntimeRef>();
  for (const entry of entries) {
    const runtime = decodeRuntimeRef(entry);
    if (runtime === undefined) continue;
    const key = runtimeKey(runtime);
    if (runtimes.has(key)) {
      entry.refuse('pid', 'another process than in an earlier entry');
    } else if (runtimes.size === MAX_RUNTIMES) {
      entry.refuse('pid', `at most ${MAX_RUNTIMES} processes`);
    } else {
      runtimes.set(key, runtime);
      decodeReport(entry, runtime, readings);
    }
  }
  return [...runtimes.values()];
}

/** `pid` is the host's. A record trimmed by other tools may lack the tag: it stays empty, it is not guessed from the pid. */
function decodeRuntimeRef(entry: FieldReader): RuntimeRef | undefined {
  if (entry.text('address') !== undefined) return entry.refuse('pid', 'pid (release 1 prints an address; release 2 or newer is read)');
  const pid = entry.requiredIndex('pid');
  if (pid === undefined) return undefined;
  const error = entry.filledText('error');
  return { pid, tag: entry.text('neuron_runtime_tag') ?? '', ...(error === undefined ? {} : { error }) };
}

function decodeReport(entry: FieldReader, runtime: RuntimeRef, readings: AnyGroupReading[]): void {
  const report = entry.object('report');
  if (report === undefined) return;
  collect(readings, readGroup(report, 'execution_stats', decodeExecutionStats, runtime));
  collect(readings, readGroup(report, 'memory_used', decodeMemoryUsed, runtime));
  collect(readings, readGroup(report, 'neuron_runtime_vcpu_usage', decodeRuntimeVcpuUsage, runtime));
  collect(readings, readGroup(report, 'neuroncore_counters', decodeCoreCounters, runtime));
}

/** A group the record does not carry gives nothing: it was not due, or it is not configured. */
function readGroup<G extends MetricGroup>(
  holder: FieldReader,
  group: G,
  decode: (fields: FieldReader) => GroupData[G],
  runtime?: RuntimeRef,
): GroupReading<G> | undefined {
  const fields = holder.object(group, group);
  if (fields === undefined) return undefined;
  const periodSeconds = fields.number('period');
  if (periodSeconds !== undefined && periodSeconds < 0) fields.refuse('period', 'zero or more seconds');
  const error = fields.filledText('error');
  return {
    group,
    data: decode(fields),
    ...(runtime === undefined ? {} : { runtime }),
    ...(periodSeconds === undefined || periodSeconds < 0 ? {} : { periodSeconds }),
    ...(error === undefined ? {} : { error }),
  };
}

function collect(readings: AnyGroupReading[], reading: AnyGroupReading | undefined): void {
  if (reading !== undefined) readings.push(reading);
}

const PERCENTILE_KEY = /^p(?:100|\d{1,2}(?:\.\d{1,6})?)$/;

export function decodeExecutionStats(fields: FieldReader): ExecutionStats {
  const latency = fields.object('latency_stats');
  return present<ExecutionStats>({
    error_summary: withNumericalErrors(fields.numbers('error_summary')),
    execution_summary: fields.numbers('execution_summary'),
    latency_stats:
      latency &&
      present<NonNullable<ExecutionStats['latency_stats']>>({
        total_latency: latency.numbers('total_latency', PERCENTILE_KEY),
        device_latency: latency.numbers('device_latency', PERCENTILE_KEY),
      }),
  });
}

/** The user guide's text says `numeric`; its example and every capture say `numerical`. */
function withNumericalErrors(errors: NumberMap | undefined): NumberMap | undefined {
  if (errors?.['numeric'] === undefined) return errors;
  const { numeric, ...others } = errors;
  return { numerical: numeric, ...others };
}

/** Shares and counts of a process in a container come as zeros with an error: its `/proc` entry cannot be opened from there. */
export function decodeRuntimeVcpuUsage(fields: FieldReader): RuntimeVcpuUsage {
  const usage = fields.object('vcpu_usage');
  return usage === undefined ? {} : present<RuntimeVcpuUsage>({ user: usage.number('user'), system: usage.number('system') });
}

export function decodeCoreCounters(fields: FieldReader): NeuronCoreCounters {
  return present<NeuronCoreCounters>({
    neuroncores_in_use: fields.map('neuroncores_in_use', INDEX_KEY, (cores, key) => {
      const core = cores.object(key);
      return core === undefined ? undefined : decodeCore(core, Number(key));
    }),
  });
}

function decodeCore(core: FieldReader, logicalCore: number): CoreCounters {
  return present<CoreCounters>({
    neuroncore_utilization: core.number('neuroncore_utilization'),
    flops: core.number('flops'),
    effective_flops: core.number('effective_flops'),
    physical_cores: decodePhysicalCores(core, logicalCore),
  });
}

/** Member of a logical core, named after `neuroncore_version`: `v3d` on Trn2 with two physical cores in each logical one. */
const PHYSICAL_MEMBER = /^v\d+d$/;
/** `nc_v3.5`: the host-wide physical index, as in the user guide. */
const PHYSICAL_CORE = /^nc_v\d+\.(\d{1,6})$/;
/** `nc_v3`: an object with the members 0 and 1, as the neuron-anatomy sample of aws-neuron-samples reads it. */
const PHYSICAL_CORE_GROUP = /^nc_v\d+$/;
const PHYSICAL_PER_LOGICAL = 2;

/** No capture of a Trn2 host is public, so both published shapes are taken. Physical index → percent. */
function decodePhysicalCores(core: FieldReader, logicalCore: number): NumberMap | undefined {
  const found: Record<string, number> = {};
  for (const member of core.names(PHYSICAL_MEMBER)) {
    const cores = core.object(member);
    for (const name of cores?.names(PHYSICAL_CORE) ?? []) {
      keepUtilization(found, name.slice(name.indexOf('.') + 1), cores?.object(name));
    }
    for (const group of cores?.names(PHYSICAL_CORE_GROUP) ?? []) {
      const within = cores?.object(group);
      for (const key of within?.names(INDEX_KEY) ?? []) keepUtilization(found, hostWide(key, logicalCore), within?.object(key));
    }
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

/** 0 and 1 count within the logical core: host-wide they could only be the cores of logical core 0, where both readings agree. */
function hostWide(key: string, logicalCore: number): string {
  const index = Number(key);
  return index < PHYSICAL_PER_LOGICAL ? String(logicalCore * PHYSICAL_PER_LOGICAL + index) : key;
}

function keepUtilization(found: Record<string, number>, index: string, core: FieldReader | undefined): void {
  const percent = core?.number('neuroncore_utilization');
  if (percent !== undefined) found[String(Number(index))] = percent;
}

const SUBGRAPH_NAME = /^.{1,255}$/s;

/** Bytes. The breakdown is absent before tools 2.5.16. */
export function decodeMemoryUsed(fields: FieldReader): MemoryUsed {
  const used = fields.object('neuron_runtime_used_bytes');
  const breakdown = used?.object('usage_breakdown');
  return present<MemoryUsed>({
    host: used?.number('host'),
    neuron_device: used && deviceBytes(used),
    host_breakdown: breakdown?.numbers('host'),
    neuroncore_memory_usage: breakdown?.map('neuroncore_memory_usage', INDEX_KEY, (cores, key) => cores.numbers(key)),
    loaded_models: fields.objects('loaded_models')?.flatMap((model) => decodeModel(model)),
  });
}

/** `device` is an old spelling that at least one reader of this format keeps. */
function deviceBytes(used: FieldReader): number | undefined {
  return used.number('neuron_device') ?? used.number('device');
}

/** One model without a name costs one model. `is_running` was false under full load in every capture. */
function decodeModel(model: FieldReader): readonly LoadedModel[] {
  const name = model.requiredText('name');
  if (name === undefined) return [];
  const subgraphs = model.map('subgraphs', SUBGRAPH_NAME, (graphs, key) => {
    const graph = graphs.object(key);
    return graph === undefined ? undefined : decodeSubgraph(graph, key);
  });
  return [
    present<LoadedModel>({
      name,
      uuid: model.filledText('uuid'),
      model_id: model.number('model_id'),
      is_running: model.flag('is_running'),
      subgraphs: Object.values(subgraphs ?? {}),
    }),
  ];
}

/** Recent tools add a member named after `neuroncore_version` (`"v2": "nc_v2.0"`); it repeats the core and is not read. */
function decodeSubgraph(graph: FieldReader, name: string): SubgraphMemory {
  const used = graph.object('memory_used_bytes');
  const breakdown = used?.object('usage_breakdown');
  return present<SubgraphMemory>({
    name,
    host: used?.number('host'),
    neuron_device: used && deviceBytes(used),
    host_breakdown: breakdown?.numbers('host'),
    device_breakdown: breakdown?.numbers('neuron_device') ?? breakdown?.numbers('device'),
    neuroncore_index: graph.index('neuroncore_index'),
    neuron_device_index: graph.index('neuron_device_index'),
  });
}

export function decodeMemoryInfo(fields: FieldReader): MemoryInfo {
  return present<MemoryInfo>({
    memory_total_bytes: fields.number('memory_total_bytes'),
    memory_used_bytes: fields.number('memory_used_bytes'),
    swap_total_bytes: fields.number('swap_total_bytes'),
    swap_used_bytes: fields.number('swap_used_bytes'),
  });
}

export function decodeVcpuUsage(fields: FieldReader): VcpuUsage {
  return present<VcpuUsage>({
    average_usage: fields.numbers('average_usage'),
    usage_data: fields.map('usage_data', INDEX_KEY, (cpus, key) => cpus.numbers(key)),
    context_switch_count: fields.number('context_switch_count'),
  });
}

/** The list is null without a driver, and then `error` stays empty. */
export function decodeHwCounters(fields: FieldReader): NeuronHwCounters {
  return present<NeuronHwCounters>({
    neuron_devices: fields.objects('neuron_devices')?.flatMap((device) => decodeDevice(device)),
  });
}

/** `sram_ecc_corrected` came after 2022; the driver knows more kinds than neuron-monitor prints, so kinds are data. */
const ECC_COUNTER = /^(?:mem|sram|hbm)_ecc_[a-z_]+$/;

function decodeDevice(device: FieldReader): readonly DeviceErrors[] {
  const index = device.requiredIndex('neuron_device_index');
  if (index === undefined) return [];
  const ecc: Record<string, number> = {};
  for (const name of device.names(ECC_COUNTER)) {
    const events = device.number(name);
    if (events !== undefined) ecc[name] = events;
  }
  return [{ neuron_device_index: index, ecc }];
}

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
