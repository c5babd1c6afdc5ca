import type { GroupReading, RuntimeRef } from '../../src/readings.ts';
import { runtimeKey } from '../../src/readings.ts';
import { TICKS_PER_SECOND } from './counts.ts';
import type { CpuTicks } from './cpu-stat.ts';
import { passedTicks, percentOf } from './cpu-usage.ts';
import type { PidStat } from './pid-stat.ts';

/** The moment of a reading: everything is a difference between two of these. */
export interface Moment {
  readonly monotonicMs: number;
  /** All CPUs together; absent when `/proc/stat` could not be read. */
  readonly cpuTicks?: CpuTicks;
  /** Ticks since boot. */
  readonly uptimeTicks?: number;
}

/** CPU of Neuron processes as neuron-monitor computes it: percent of all vCPUs of the host together. */
export class ProcessUsage {
  readonly #pageBytes: number;
  readonly #before = new Map<string, { readonly stat: PidStat; readonly moment: Moment }>();

  constructor(options: { readonly pageBytes: number }) {
    this.#pageBytes = options.pageBytes;
  }

  /** True when this process has been read before. */
  knows(runtime: RuntimeRef): boolean {
    return this.#before.has(runtimeKey(runtime));
  }

  /** The first reading of a process is its baseline: it has no percentages and no period. */
  next(runtime: RuntimeRef, stat: PidStat, moment: Moment): GroupReading<'neuron_runtime_vcpu_usage'> {
    const key = runtimeKey(runtime);
    const last = this.#before.get(key);
    this.#before.set(key, { stat, moment });
    const before = last?.stat.startTicks === stat.startTicks ? last : undefined;
    return {
      group: 'neuron_runtime_vcpu_usage',
      runtime,
      ...(before !== undefined && { periodSeconds: (moment.monotonicMs - before.moment.monotonicMs) / 1000 }),
      data: {
        ...shares(before, stat, moment),
        cpu_time: { user: stat.userTicks / TICKS_PER_SECOND, system: stat.systemTicks / TICKS_PER_SECOND },
        thread_count: stat.threadCount,
        ...(stat.residentPages !== undefined && { memory_resident_bytes: stat.residentPages * this.#pageBytes }),
        ...(stat.virtualBytes !== undefined && { memory_virtual_bytes: stat.virtualBytes }),
        ...uptime(stat, moment),
      },
    };
  }

  /** Forgets every process not named, so that memory does not grow with processes that were. */
  retain(runtimes: readonly RuntimeRef[]): void {
    const keys = new Set(runtimes.map((runtime) => runtimeKey(runtime)));
    for (const key of this.#before.keys()) if (!keys.has(key)) this.#before.delete(key);
  }
}

function shares(
  before: { readonly stat: PidStat; readonly moment: Moment } | undefined,
  stat: PidStat,
  moment: Moment,
): { readonly user?: number; readonly system?: number } {
  if (before?.moment.cpuTicks === undefined || moment.cpuTicks === undefined) return {};
  const passed = passedTicks(before.moment.cpuTicks, moment.cpuTicks);
  if (passed === 0) return {};
  return {
    user: percentOf(Math.max(0, stat.userTicks - before.stat.userTicks), passed),
    system: percentOf(Math.max(0, stat.systemTicks - before.stat.systemTicks), passed),
  };
}

function uptime(stat: PidStat, moment: Moment): { readonly uptime_seconds?: number } {
  const ticks = moment.uptimeTicks === undefined ? -1 : moment.uptimeTicks - stat.startTicks;
  return ticks < 0 ? {} : { uptime_seconds: ticks / TICKS_PER_SECOND };
}
