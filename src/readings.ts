/**
 * The vocabulary between sources and receivers: neuron-monitor's ten metric groups, one of the agent's own, and their data, in neuron-monitor's
 * spelling and units (percent 0–100, bytes, seconds, tallies of the period). Every field is optional: absent is not zero.
 * Source of the shapes: neuron-monitor user guide and published captures.
 */

/** Groups reported once for each Neuron process, in the order of neuron-monitor's output. */
export const RUNTIME_GROUPS = ['execution_stats', 'memory_used', 'neuron_runtime_vcpu_usage', 'neuroncore_counters'] as const;
/** Groups reported once for the host. The last one is the agent's own: only the driver's sysfs has it, neuron-monitor does not. */
export const SYSTEM_GROUPS = ['memory_info', 'neuron_hw_counters', 'vcpu_usage', 'neuron_device_counters'] as const;
/** Facts about the host; present in every report, without a configurable period. */
export const FACT_GROUPS = ['instance_info', 'neuron_hardware_info', 'neuron_k8s_info'] as const;

export const METRIC_GROUPS = [...RUNTIME_GROUPS, ...SYSTEM_GROUPS, ...FACT_GROUPS] as const;

export type RuntimeGroup = (typeof RUNTIME_GROUPS)[number];
export type SystemGroup = (typeof SYSTEM_GROUPS)[number];
export type FactGroup = (typeof FACT_GROUPS)[number];
export type MetricGroup = (typeof METRIC_GROUPS)[number];

/** Open sets of named numbers: the vendor adds and removes keys between releases, so keys are data. */
export type NumberMap = Readonly<Record<string, number>>;

export interface ExecutionStats {
  /** Errors of this period by type: generic, numerical, transient, model, runtime, hardware. */
  readonly error_summary?: NumberMap;
  /** Executions of this period by outcome: completed, completed_with_err, completed_with_num_err, timed_out, incorrect_input, failed_to_queue. */
  readonly execution_summary?: NumberMap;
  /** Seconds at p0, p1, p25, p50, p75, p99, p100; absent or null when nothing ran. */
  readonly latency_stats?: { readonly total_latency?: NumberMap; readonly device_latency?: NumberMap };
  /** Executions whose own latency is behind the percentiles, as a share of those that completed; only from the datastore, which samples. */
  readonly latency_coverage?: number;
}

export interface SubgraphMemory {
  readonly name: string;
  readonly host?: number;
  readonly neuron_device?: number;
  readonly host_breakdown?: NumberMap;
  readonly device_breakdown?: NumberMap;
  /** Index of the core within its device. */
  readonly neuroncore_index?: number;
  readonly neuron_device_index?: number;
}

export interface LoadedModel {
  readonly name: string;
  readonly uuid?: string;
  readonly model_id?: number;
  readonly is_running?: boolean;
  readonly subgraphs: readonly SubgraphMemory[];
}

export interface MemoryUsed {
  readonly host?: number;
  readonly neuron_device?: number;
  /** Bytes by kind: application_memory, constants, dma_buffers, tensors. */
  readonly host_breakdown?: NumberMap;
  /** Core index → bytes by kind: constants, model_code, model_shared_scratchpad, runtime_memory, tensors (sysfs has more). */
  readonly neuroncore_memory_usage?: Readonly<Record<string, NumberMap>>;
  readonly loaded_models?: readonly LoadedModel[];
}

/** Percent of all vCPUs of the host. */
export interface RuntimeVcpuUsage {
  readonly user?: number;
  readonly system?: number;
  /** Seconds of CPU since the process started; only from procfs. */
  readonly cpu_time?: { readonly user: number; readonly system: number };
  /** Threads of the process; only from procfs. */
  readonly thread_count?: number;
  /** Bytes of physical memory the process occupies; only from procfs. */
  readonly memory_resident_bytes?: number;
  /** Bytes of the process's address space; only from procfs. */
  readonly memory_virtual_bytes?: number;
  /** Seconds since the process started; only from procfs. */
  readonly uptime_seconds?: number;
}

export interface CoreCounters {
  /** Percent of the period. */
  readonly neuroncore_utilization?: number;
  /** FLOP/s. */
  readonly flops?: number;
  /** FLOP/s, averaged over the period; supersedes `flops` in recent releases. */
  readonly effective_flops?: number;
  /** Physical core index → percent, where two physical cores form one logical core (Trn2, LNC=2). */
  readonly physical_cores?: NumberMap;
}

export interface NeuronCoreCounters {
  /** Host-wide logical core index → counters. Every runtime lists every core, zeros included. */
  readonly neuroncores_in_use?: Readonly<Record<string, CoreCounters>>;
}

export interface MemoryInfo {
  readonly memory_total_bytes?: number;
  /** MemTotal − MemFree, neuron-monitor's rule: the page cache counts as used. */
  readonly memory_used_bytes?: number;
  /** MemAvailable of the kernel; total minus this is semantic conventions' `used`. Only from procfs. */
  readonly memory_available_bytes?: number;
  readonly swap_total_bytes?: number;
  readonly swap_used_bytes?: number;
}

/** Percent by mode: user, nice, system, idle, io_wait, irq, soft_irq. */
export type CpuModes = NumberMap;

export interface VcpuUsage {
  readonly average_usage?: CpuModes;
  /** vCPU index → percent by mode. */
  readonly usage_data?: Readonly<Record<string, CpuModes>>;
  /** Context switches of this period. */
  readonly context_switch_count?: number;
  /** Seconds since boot by mode, all vCPUs together; only from procfs. */
  readonly cpu_time?: NumberMap;
}

export interface DeviceErrors {
  readonly neuron_device_index: number;
  /** mem_ecc_corrected, mem_ecc_uncorrected, sram_ecc_corrected, sram_ecc_uncorrected; sysfs adds mem_ecc_repairable_uncorrected. */
  readonly ecc: NumberMap;
}

/** Counters of a device that only the driver's sysfs has, all processes together. */
export interface DeviceCounters {
  readonly neuron_device_index: number;
  readonly device_facts?: DeviceFacts;
  readonly device_health?: DeviceHealth;
  readonly device_power?: DevicePower;
  /** Host memory for this device: bytes by kind, as sysfs spells them. */
  readonly device_host_memory?: NumberMap;
  readonly device_host_memory_peak?: NumberMap;
  /** Resets of the device that failed since the driver was loaded. */
  readonly device_reset_failures?: number;
  /** Index of the physical core within the device → its counters. */
  readonly device_cores?: Readonly<Record<string, DeviceCore>>;
}

/** Facts of a device, which do not change while it works. */
export interface DeviceFacts {
  /** `Trainium2`, as the driver names it. */
  readonly name?: string;
  readonly architecture?: string;
  readonly serial_number?: string;
  readonly firmware_build?: string;
  readonly firmware_api_version?: string;
  /** Indexes of the devices at the other ends of its links. */
  readonly connected_devices?: readonly number[];
  /** Physical cores. */
  readonly core_count?: number;
}

export interface DeviceHealth {
  readonly state: 'healthy' | 'unhealthy' | 'unknown';
  /** The reason why it is not healthy, or why its health is unknown: the driver is too old to report it, the firmware no longer answers. */
  readonly reason?: 'components' | 'device_unreachable' | 'heartbeat_stalled' | 'unreadable' | 'not_reported';
  /** Failing components, as the firmware names them. */
  readonly unhealthy_components: readonly string[];
  /** Hardware error events since the driver was loaded. */
  readonly hw_error_events?: number;
}

/** Percent of maximum power, background removed, over the wall-clock minute that ended at `epoch_seconds`. */
export interface DevicePower {
  readonly epoch_seconds: number;
  readonly min: number;
  readonly max: number;
  readonly avg: number;
}

/** One physical core. Totals run since the driver was loaded; anybody with root may set them back. */
export interface DeviceCore {
  /** Bytes by kind, as sysfs spells them. */
  readonly memory?: NumberMap;
  readonly memory_peak?: NumberMap;
  /** Percent of the time since the reading before. */
  readonly utilization?: number;
  /** FLOP/s since the reading before. */
  readonly flops?: number;
  /** Total by outcome, spelled as in `execution_summary`; only where the driver counts while applications run. */
  readonly executions?: NumberMap;
  /** Total of each status counter of the driver, as sysfs spells them. */
  readonly events?: NumberMap;
  readonly model_loads?: number;
  readonly reset_requests?: number;
}

export interface NeuronHwCounters {
  readonly neuron_devices?: readonly DeviceErrors[];
  /** The counts are running totals; absent from neuron-monitor, which leaves open whether they are tallies of the period. */
  readonly counts?: 'cumulative';
  /** Counters of neuron-monitor that this driver has on no device; drivers before 2.30.2 count no corrected errors. */
  readonly uncounted?: readonly string[];
}

export interface NeuronDeviceCounters {
  readonly neuron_devices?: readonly DeviceCounters[];
  /** Version of the kernel driver. */
  readonly driver_version?: string;
  /** The UltraServer that this host belongs to, by the names of the driver's class attributes (`node_id_4`, `ultraserver_mode`, …). */
  readonly ultraserver?: Readonly<Record<string, string>>;
}

export interface InstanceInfo {
  readonly instance_name?: string;
  readonly instance_id?: string;
  readonly instance_type?: string;
  readonly instance_availability_zone?: string;
  readonly instance_availability_zone_id?: string;
  readonly instance_region?: string;
  readonly ami_id?: string;
  readonly subnet_id?: string;
  readonly ultraserver_id?: string;
}

export interface NeuronHardwareInfo {
  readonly neuron_device_type?: string;
  readonly neuron_device_version?: string;
  readonly neuroncore_version?: string;
  readonly neuron_device_count?: number;
  /** Indexes of the devices that are there; only from sysfs. */
  readonly neuron_device_indexes?: readonly number[];
  /** Bytes of one device. */
  readonly neuron_device_memory_size?: number;
  readonly neuroncore_per_device_count?: number;
  readonly logical_neuroncore_config?: number;
}

export interface PodPlacement {
  readonly pod_name: string;
  readonly namespace: string;
  readonly container_names: readonly string[];
}

export interface NeuronK8sInfo {
  readonly neuroncores_k8s_info?: Readonly<Record<string, PodPlacement>>;
  readonly neurondevices_k8s_info?: Readonly<Record<string, PodPlacement>>;
}

/** The data of each group. */
export interface GroupData {
  readonly execution_stats: ExecutionStats;
  readonly memory_used: MemoryUsed;
  readonly neuron_runtime_vcpu_usage: RuntimeVcpuUsage;
  readonly neuroncore_counters: NeuronCoreCounters;
  readonly memory_info: MemoryInfo;
  readonly neuron_hw_counters: NeuronHwCounters;
  readonly vcpu_usage: VcpuUsage;
  readonly neuron_device_counters: NeuronDeviceCounters;
  readonly instance_info: InstanceInfo;
  readonly neuron_hardware_info: NeuronHardwareInfo;
  readonly neuron_k8s_info: NeuronK8sInfo;
}

/** A Neuron process. Tags are neither unique nor stable and pids are reused: identity is all three together. */
export interface RuntimeRef {
  readonly pid: number;
  readonly tag: string;
  /** Milliseconds since the epoch, from `/proc/<pid>/stat`; absent where the host's `/proc` cannot be seen. */
  readonly startTimeMs?: number;
  /** neuron-monitor's `error` of the runtime entry; empty when fine. */
  readonly error?: string;
  /** Further resource attributes, such as `process.executable.name` or `container.id`. */
  readonly attributes?: Readonly<Record<string, string | number>>;
}

/** One metric group as a source read it. `runtime` is present exactly for the runtime groups. */
export interface GroupReading<G extends MetricGroup = MetricGroup> {
  readonly group: G;
  readonly data: GroupData[G];
  readonly runtime?: RuntimeRef;
  /** Seconds the tallies and averages of this reading cover; absent for facts and where the source has no period. */
  readonly periodSeconds?: number;
  /** The source's own words about what went wrong; data may be zero-filled next to it. Empty or absent when fine. */
  readonly error?: string;
}

/** Distributes over the union, so that `switch (reading.group)` narrows `reading.data`. */
export type AnyGroupReading = { readonly [G in MetricGroup]: GroupReading<G> }[MetricGroup];

/** The latest host-wide facts; receivers use them to name devices and pods. */
export interface HostFacts {
  /** Indexes of the devices in the latest device counters: one that left the bus is missing in between. */
  readonly deviceIndexes?: readonly number[];
  readonly instance_info?: InstanceInfo;
  readonly neuron_hardware_info?: NeuronHardwareInfo;
  readonly neuron_k8s_info?: NeuronK8sInfo;
}

/** Part of neuron-monitor's report, and so of the JSON on stdout. */
export function isReported(group: MetricGroup): boolean {
  return group !== 'neuron_device_counters';
}

export function isFact(group: MetricGroup): group is FactGroup {
  return (FACT_GROUPS as readonly string[]).includes(group);
}

export function isRuntimeGroup(group: MetricGroup): group is RuntimeGroup {
  return (RUNTIME_GROUPS as readonly string[]).includes(group);
}

/** Key of a runtime's identity. */
export function runtimeKey(runtime: RuntimeRef): string {
  return `${runtime.pid}\u0000${runtime.startTimeMs ?? ''}\u0000${runtime.tag}`;
}
