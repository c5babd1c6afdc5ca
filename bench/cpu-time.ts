import { readFileSync, readdirSync } from 'node:fs';

/**
 * CPU time a process has used so far, all its threads together, in milliseconds.
 * `/proc/<pid>/task/<tid>/schedstat` counts nanoseconds, where `/proc/<pid>/stat` counts 10 ms ticks (Linux, Documentation/scheduler/sched-stats).
 */
export function cpuTimeMs(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1e6;
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kibibytes === undefined) throw new Error(`process ${pid} has no VmRSS`);
  return Number(kibibytes) * 1024;
}
