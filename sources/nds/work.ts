import type { ErrorCode } from '../../src/errors.ts';
import type { LatencySummary } from './latency.ts';
import type { ModelRecord } from './records.ts';

/** Groups a datastore can tell about. */
export const NDS_GROUPS = ['execution_stats', 'memory_used', 'neuroncore_counters'] as const;
export type NdsGroup = (typeof NDS_GROUPS)[number];

/** Bytes by kind, in the datastore's own kinds. */
export interface MemoryKinds {
  readonly code: number;
  readonly tensors: number;
  readonly constants: number;
  readonly scratchpad: number;
  readonly misc: number;
}

/** What one physical core did in a period. */
export interface CoreRates {
  /** Percent of the period; absent while the unit of busy time is not known. */
  readonly utilization?: number;
  readonly flopsPerSecond: number;
}

/** One process on one device. A part is there when its group was asked for and could be told. */
export interface DeviceWork {
  readonly device: number;
  readonly memory?: { readonly host: MemoryKinds; readonly cores: readonly MemoryKinds[]; readonly models: readonly ModelRecord[] };
  readonly rates?: { readonly periodSeconds: number; readonly cores: readonly CoreRates[] };
}

/** Executions of one process in a period, all its devices and cores together. */
export interface ExecutionWork {
  readonly periodSeconds: number;
  /** By outcome and by error, in neuron-monitor's words. */
  readonly summary: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly latency?: LatencySummary;
}

/** What the datastores say about one process. Plain data: it crosses from the worker to the main thread. */
export interface ProcessWork {
  readonly pid: number;
  /** Ticks since boot; absent where the process cannot be seen in procfs. */
  readonly startTicks?: number;
  readonly tag?: string;
  readonly runtimeVersion?: string;
  readonly devices: readonly DeviceWork[];
  readonly executions?: ExecutionWork;
}

export interface WorkFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** One round of readings. */
export interface WorkSample {
  readonly processes: readonly ProcessWork[];
  /** Every device was looked at, so no process is missing. */
  readonly isComplete: boolean;
  readonly failures: readonly WorkFailure[];
}
