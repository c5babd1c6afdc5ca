import type { InstanceSpec, JobKind } from './instances.ts';

/** Counter ids of the driver's datastore that the model moves (driver header neuron_driver_shared.h). */
export const COUNTER = {
  timeInUse: 0,
  completed: 1,
  completedWithError: 2,
  completedWithNumError: 3,
  timedOut: 4,
  incorrectInput: 5,
  failedToQueue: 6,
  errorGeneric: 7,
  errorNumerical: 8,
  errorModel: 9,
  errorTransient: 10,
  errorHardware: 11,
  errorRuntime: 12,
  genericFail: 16,
  modelLoads: 27,
  inferences: 28,
  macs: 29,
  hbmUncorrectable: 32,
  hbmRepairable: 40,
} as const;

/** Ids run from 0 to 40. */
export const COUNTER_COUNT = 41;

/** Order of `CoreTruth.memory`; spelled as sysfs spells them. */
export const DEVICE_MEMORY_CATEGORIES = [
  'model_code',
  'tensors',
  'constants',
  'model_shared_scratchpad',
  'runtime_memory',
  'driver_memory',
  'collectives',
  'nonshared_scratchpad',
  'notifications',
  'dma_rings',
  'uncategorized',
] as const;

/** Order of `DeviceTruth.hostMemory`. */
export const HOST_MEMORY_CATEGORIES = [
  'dma_buffers',
  'tensors',
  'constants',
  'application_memory',
  'driver_memory',
  'notifications',
  'dma_rings',
  'uncategorized',
] as const;

/** Order of `HostTruth.vcpuSeconds`, as in `/proc/stat`. */
export const CPU_MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'] as const;

/** Bytes by category, and their high-water marks. */
export interface MemoryTruth {
  readonly bytes: Float64Array;
  readonly peakBytes: Float64Array;
  readonly totalBytes: number;
  readonly peakTotalBytes: number;
}

/** One physical core, all processes together. Counters run since driver load. */
export interface CoreTruth {
  /** By `COUNTER` id. Time in use is in picoseconds and always a whole number of microseconds. */
  readonly counters: BigUint64Array;
  /** The same counters as far as ended processes handed them to the kernel: what drivers before 2.30.2 show. */
  readonly releasedCounters: BigUint64Array;
  readonly memory: MemoryTruth;
}

/** Events since the device's firmware started; repairable errors are not part of `memoryUncorrected`. */
export interface EccTruth {
  readonly memoryCorrected: number;
  readonly memoryUncorrected: number;
  readonly memoryRepairableUncorrected: number;
  readonly sramCorrected: number;
  readonly sramUncorrected: number;
}

/** Percent of maximum power over one wall-clock minute that ended at `epochSeconds`. */
export interface PowerTruth {
  readonly epochSeconds: number;
  readonly min: number;
  readonly max: number;
  readonly average: number;
}

export interface DeviceTruth {
  readonly index: number;
  readonly serialNumber: string;
  readonly cores: readonly CoreTruth[];
  readonly hostMemory: MemoryTruth;
  readonly ecc: EccTruth;
  /** Absent until the first full minute is over. */
  readonly power: PowerTruth | undefined;
  readonly unhealthyComponents: readonly string[];
  readonly heartbeat: number;
  readonly hardwareErrorEvents: number;
  readonly resetRequests: number;
  readonly resetting: boolean;
}

/** What one process did on one physical core, since the process started. */
export interface ProcessCoreTruth {
  readonly device: number;
  /** Index within the device. */
  readonly physicalCore: number;
  readonly counters: BigUint64Array;
  readonly memoryBytes: Float64Array;
  /** Seconds of the last execution; zero before the first. */
  readonly lastDeviceSeconds: number;
  readonly lastTotalSeconds: number;
}

/** What one physical core counted in one datastore, whoever owned it. */
export type CoreWork = Pick<ProcessCoreTruth, 'counters' | 'lastDeviceSeconds' | 'lastTotalSeconds'>;

/** One loaded copy of a model. */
export interface ModelTruth {
  readonly id: number;
  readonly name: string;
  readonly uuid: string;
  readonly device: number;
  /** Index within the device. */
  readonly logicalCore: number;
  readonly codeBytes: number;
  readonly constantBytes: number;
}

/** Latencies of a process's executions, one sample for each execution of each logical core; the latest `capacity` are kept. */
export interface LatencySamples {
  readonly capacity: number;
  /** Samples since the process started; sample `i` stands at `i % capacity`. */
  readonly count: number;
  readonly deviceSeconds: Float64Array;
  readonly totalSeconds: Float64Array;
}

export interface ProcessTruth {
  readonly pid: number;
  /** Model time, milliseconds; see `Truth.elapsedMs`. */
  readonly startedAtMs: number;
  readonly kind: JobKind;
  readonly command: readonly string[];
  /** As the runtime reports it: `NEURON_PROCESS_TAG`, or the pid. */
  readonly tag: string;
  readonly environment: Readonly<Record<string, string>>;
  /** 64 hexadecimal digits; absent for a process outside any container. */
  readonly containerId: string | undefined;
  readonly podUid: string | undefined;
  readonly state: 'loading' | 'running' | 'stalled';
  readonly devices: readonly number[];
  readonly cores: readonly ProcessCoreTruth[];
  /** Device index → bytes by `HOST_MEMORY_CATEGORIES`. */
  readonly hostMemoryBytes: ReadonlyMap<number, Float64Array>;
  /** Device index → physical core → what its datastore held when the process got it: counts of the owners before it. */
  readonly inherited: ReadonlyMap<number, ReadonlyMap<number, CoreWork>>;
  readonly models: readonly ModelTruth[];
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly residentBytes: number;
  readonly threadCount: number;
  readonly latency: LatencySamples;
}

export interface HostTruth {
  /** Seconds since boot by `CPU_MODES`, one array for each vCPU. */
  readonly vcpuSeconds: readonly Float64Array[];
  readonly contextSwitches: number;
  readonly forks: number;
  readonly memoryTotalBytes: number;
  readonly memoryFreeBytes: number;
  readonly memoryAvailableBytes: number;
  readonly buffersBytes: number;
  readonly cachedBytes: number;
}

export interface IdentityTruth {
  readonly instanceId: string;
  readonly region: string;
  readonly availabilityZone: string;
  readonly availabilityZoneId: string;
  readonly amiId: string;
  readonly subnetId: string;
  readonly accountId: string;
  readonly name: string;
}

/** Everything that is true of the virtual host now. The model changes it in place: take what you need before the next step. */
export interface Truth {
  readonly instance: InstanceSpec;
  readonly identity: IdentityTruth;
  /** Milliseconds since the epoch at model time 0. */
  readonly originMs: number;
  /** Milliseconds since the epoch of the host's boot and the driver's load. */
  readonly bootTimeMs: number;
  /** Model time, milliseconds. */
  readonly elapsedMs: number;
  readonly devices: readonly DeviceTruth[];
  /** Alive processes, in the order of their jobs. */
  readonly processes: readonly ProcessTruth[];
  readonly host: HostTruth;
}
