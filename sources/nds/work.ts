import type { AgentError, ErrorCode } from '../../src/errors.ts';
import type { CollectRequest } from './collector.ts';
import { summarize } from './latency.ts';
import type { LatencySummary } from './latency.ts';
import type { ModelRecord } from './records.ts';
import type { DatastoreReading, DeviceExecutions } from './tracked-datastore.ts';

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

/** The work of one physical core in a period. */
export interface CoreRates {
  /** Percent of the period; absent while the unit of busy time is not known. */
  readonly utilization?: number;
  readonly flopsPerSecond: number;
}

/** One process on one device. A member is there when its group was asked for and is known. */
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

/** The work of one process, from its datastores. Plain data: it crosses from the worker to the main thread. */
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

/** One datastore that was read, and whose it is. */
export interface Found {
  readonly pid: number;
  readonly startTicks: number | undefined;
  readonly reading: DatastoreReading;
}

/** The datastores of each process as one. */
export function byProcess(found: readonly Found[]): readonly ProcessWork[] {
  const groups = Map.groupBy(found, ({ pid, startTicks }) => `${pid}/${startTicks ?? ''}`);
  const processes: ProcessWork[] = [];
  for (const [first, ...others] of groups.values()) if (first !== undefined) processes.push(processWork(first, [first, ...others]));
  return processes;
}

function processWork({ pid, startTicks }: Found, datastores: readonly Found[]): ProcessWork {
  const devices: DeviceWork[] = [];
  const executions: DeviceExecutions[] = [];
  for (const { reading } of datastores) {
    devices.push(reading.work);
    if (reading.executions !== undefined) executions.push(reading.executions);
  }
  const records = datastores.find(({ reading }) => reading.records.proof !== 'unknown')?.reading.records;
  return {
    pid,
    devices,
    ...(startTicks !== undefined && { startTicks }),
    ...(records?.tag !== undefined && { tag: records.tag }),
    ...(records?.runtimeVersion !== undefined && { runtimeVersion: records.runtimeVersion }),
    ...(executions.length > 0 && { executions: executionWork(executions) }),
  };
}

function executionWork(datastores: readonly DeviceExecutions[]): ExecutionWork {
  let periodSeconds = 0;
  const summary: Record<string, number> = {};
  const errors: Record<string, number> = {};
  for (const datastore of datastores) {
    periodSeconds = Math.max(periodSeconds, datastore.periodSeconds);
    addTo(summary, datastore.summary);
    addTo(errors, datastore.errors);
  }
  const latency = summarize(datastores.map(({ latencies }) => latencies));
  return { periodSeconds, summary, errors, ...(latency !== undefined && { latency }) };
}

function addTo(total: Record<string, number>, tallies: Readonly<Record<string, number>>): void {
  for (const name of Object.keys(tallies)) total[name] = (total[name] ?? 0) + (tallies[name] ?? 0);
}

/** Options that the worker is started with. */
export interface WorkerStart {
  readonly devRoot: string;
  readonly procRoot: string;
}

/** Main thread → worker. */
export type WorkerCommand = { readonly kind: 'collect'; readonly request: CollectRequest } | { readonly kind: 'stop' };

/** Worker → main thread: one answer for each `collect`, one `stopped`. */
export type WorkerAnswer =
  | { readonly kind: 'sample'; readonly sample: WorkSample }
  /** The worker cannot do its work at all. */
  | { readonly kind: 'unusable'; readonly failure: WorkFailure }
  | { readonly kind: 'stopped' };

/** The reader of the datastores, as the source sees it. */
export interface ReaderLink {
  /** A command is under way: the driver has not answered yet. */
  readonly isBusy: boolean;
  /** Why there will be no more answers. */
  readonly end: AgentError | undefined;
  /** Rejects with `end` when there can be no answer. One at a time. */
  ask(command: WorkerCommand): Promise<WorkerAnswer>;
  terminate(): Promise<void>;
}
