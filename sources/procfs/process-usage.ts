import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import type { GroupReading, RuntimeRef } from '../../src/readings.ts';
import { runtimeKey } from '../../src/readings.ts';
import { TICKS_PER_SECOND } from './counts.ts';
import type { CpuTicks } from './cpu-stat.ts';
import { passedTicks, percentOf } from './cpu-usage.ts';
import type { PidStat } from './pid-stat.ts';

/** `Moment` is the time of a reading: shares are differences between two of them. */
export interface Moment {
  readonly monotonicMs: number;
  /** All CPUs together; absent when `/proc/stat` could not be read. */
  readonly cpuTicks?: CpuTicks;
  /** Ticks since boot. */
  readonly uptimeTicks?: number;
}

/** `ProcessUsage` computes the CPU of Neuron processes as neuron-monitor does: percent of all vCPUs of the host together. */
export class ProcessUsage {
  readonly #pageBytes: number;
  readonly #before = new Map<string, { readonly stat: PidStat; readonly moment: Moment }>();

  constructor(options: { readonly pageBytes: number }) {
    this.#pageBytes = options.pageBytes;
  }

  /** Returns true when this process has been read before. */
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

  /** Drops every process that is not named, so that memory does not grow with processes that ended. */
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
    ...share('user', stat.userTicks - before.stat.userTicks, passed),
    ...share('system', stat.systemTicks - before.stat.systemTicks, passed),
  };
}

/** Ticks of a process and of the CPUs are not read at the same moment. */
const SKEW_TICKS = 2;

/** A process has no negative time, and no more than all CPUs together had: anything else has no share. */
function share(mode: 'user' | 'system', ticks: number, passed: number): { readonly user?: number; readonly system?: number } {
  if (ticks < 0 || ticks > passed + SKEW_TICKS) return {};
  return { [mode]: percentOf(Math.min(ticks, passed), passed) };
}

function uptime(stat: PidStat, moment: Moment): { readonly uptime_seconds?: number } {
  const ticks = moment.uptimeTicks === undefined ? -1 : moment.uptimeTicks - stat.startTicks;
  return ticks < 0 ? {} : { uptime_seconds: ticks / TICKS_PER_SECOND };
}

/** AT_PAGESZ of the kernel's auxvec.h. */
const PAGE_SIZE_TYPE = 6n;
const USUAL_PAGE_BYTES = 4096;

/** Reads the bytes of a memory page from the auxiliary vector of this process; 4096 where that cannot be read. */
export function pageBytes(host: Host): number {
  let vector: Buffer;
  try {
    vector = readFileSync(join(host.procRoot, 'self', 'auxv'));
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return USUAL_PAGE_BYTES;
  }
  return parsePageBytes(vector) ?? USUAL_PAGE_BYTES;
}

/** Parses pairs of 64-bit type and value, getauxval(3); undefined when no page size that is possible is among them. */
export function parsePageBytes(vector: Uint8Array): number | undefined {
  const view = new DataView(vector.buffer, vector.byteOffset, vector.byteLength);
  for (let at = 0; at + 16 <= view.byteLength; at += 16) {
    if (view.getBigUint64(at, true) !== PAGE_SIZE_TYPE) continue;
    const bytes = Number(view.getBigUint64(at + 8, true));
    return bytes >= USUAL_PAGE_BYTES && bytes <= 1 << 20 ? bytes : undefined;
  }
  return undefined;
}
