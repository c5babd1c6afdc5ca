import { summarize } from './latency.ts';
import type { DatastoreReading, DeviceExecutions } from './tracked-datastore.ts';
import type { DeviceWork, ExecutionWork, ProcessWork } from './work.ts';

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

function processWork({ pid, startTicks }: Found, parts: readonly Found[]): ProcessWork {
  const devices: DeviceWork[] = [];
  const executions: DeviceExecutions[] = [];
  for (const { reading } of parts) {
    devices.push(reading.work);
    if (reading.executions !== undefined) executions.push(reading.executions);
  }
  const records = parts.find(({ reading }) => reading.records.proof !== 'unknown')?.reading.records;
  return {
    pid,
    devices,
    ...(startTicks !== undefined && { startTicks }),
    ...(records?.tag !== undefined && { tag: records.tag }),
    ...(records?.runtimeVersion !== undefined && { runtimeVersion: records.runtimeVersion }),
    ...(executions.length > 0 && { executions: executionWork(executions) }),
  };
}

function executionWork(parts: readonly DeviceExecutions[]): ExecutionWork {
  let periodSeconds = 0;
  const summary: Record<string, number> = {};
  const errors: Record<string, number> = {};
  for (const part of parts) {
    periodSeconds = Math.max(periodSeconds, part.periodSeconds);
    addTo(summary, part.summary);
    addTo(errors, part.errors);
  }
  const latency = summarize(parts.map(({ latencies }) => latencies));
  return { periodSeconds, summary, errors, ...(latency !== undefined && { latency }) };
}

function addTo(total: Record<string, number>, tallies: Readonly<Record<string, number>>): void {
  for (const name of Object.keys(tallies)) total[name] = (total[name] ?? 0) + (tallies[name] ?? 0);
}
