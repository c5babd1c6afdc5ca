import type { DeviceCore, NumberMap } from '../../src/readings.ts';
import { BusyShare, busyMilliseconds } from '../busy-time.ts';
import type { UnitFromTime } from '../busy-time.ts';
import type { CoreFiles, MemoryFiles, SysfsDetail } from './inventory.ts';
import type { Sweep } from './sweep.ts';

/** Kind of the memory that drivers before 2.17 do not sort. */
const UNCATEGORIZED = 'uncategorized';
/** No device and no host has as much; a size beyond it is a counter of the driver that fell below zero. */
export const MAX_BELIEVABLE_BYTES = 2 ** 50;

export interface CoreReading {
  readonly files: CoreFiles;
  /** The last reading of the same files. */
  readonly before: DeviceCore | undefined;
  readonly activity: CoreActivity;
  readonly detail: SysfsDetail;
  /** The driver updates the datastore's counters while applications run, not only when they end. */
  readonly countersAreLive: boolean;
  readonly monotonicMs: number;
}

/** Reads one core. Members are assigned one by one, not spread: a cycle reads more than a hundred cores. */
export function readCore(sweep: Sweep, { files, before, activity, detail, countersAreLive, monotonicMs }: CoreReading): DeviceCore {
  const { memory, status, other } = files;
  const core: { -readonly [Member in keyof DeviceCore]: DeviceCore[Member] } = {};
  const usage = readMemory(sweep, memory, before?.memory);
  if (usage !== undefined) core.memory = usage;
  const peaks = detail.peaks ? sweep.counts(memory.peaks, { before: before?.memory_peak, max: MAX_BELIEVABLE_BYTES }) : undefined;
  if (peaks !== undefined) core.memory_peak = peaks;
  const events = detail.events ? sweep.counts(status, { before: before?.events }) : undefined;
  const executions = countersAreLive ? readExecutions(sweep, files, events) : undefined;
  if (countersAreLive) {
    const busyTime = sweep.wide(other.nc_time_in_use);
    const flopCount = sweep.wide(other.flop_count);
    const { flops, utilization } = activity.next({ busyTime, flops: flopCount, completions: executions?.['completed'] }, monotonicMs);
    if (flops !== undefined) core.flops = flops;
    if (utilization !== undefined) core.utilization = utilization;
  }
  if (executions !== undefined) core.executions = executions;
  if (events !== undefined) core.events = events;
  const modelLoads = sweep.count(other.model_load_count);
  if (modelLoads !== undefined) core.model_loads = modelLoads;
  const resetRequests = sweep.count(other.reset_req_count);
  if (resetRequests !== undefined) core.reset_requests = resetRequests;
  return core;
}

/** Reads bytes by kind. Drivers without a kind for the rest (before 2.17) have the rest only in the total over all kinds. */
export function readMemory(sweep: Sweep, memory: MemoryFiles, before: NumberMap | undefined): NumberMap | undefined {
  if (memory.all === undefined || memory.kinds.has(UNCATEGORIZED)) return sweep.counts(memory.kinds, { before, max: MAX_BELIEVABLE_BYTES });
  const kinds = sweep.counts(memory.kinds, { max: MAX_BELIEVABLE_BYTES });
  const all = sweep.count(memory.all, MAX_BELIEVABLE_BYTES);
  if (all === undefined) return kinds;
  let rest = all;
  for (const bytes of Object.values(kinds ?? {})) rest -= bytes;
  return { ...kinds, [UNCATEGORIZED]: Math.max(0, rest) };
}

function readExecutions(sweep: Sweep, files: CoreFiles, events: NumberMap | undefined): NumberMap | undefined {
  let executions: Record<string, number> | undefined;
  for (const { outcome, counter, file } of files.outcomes) {
    const total = events === undefined ? sweep.count(file) : events[counter];
    if (total !== undefined) (executions ??= {})[outcome] = total;
  }
  return executions;
}

export interface CoreTotals {
  readonly busyTime: number | bigint | undefined;
  readonly flops: number | bigint | undefined;
  readonly completions: number | undefined;
}

export interface CoreRates {
  /** Percent of the interval. */
  readonly utilization?: number | undefined;
  /** FLOP/s. */
  readonly flops?: number | undefined;
}

/** `CoreActivity` gives the rates of one core between two readings of its totals. A total that fell begins anew and gives no rate. */
export class CoreActivity {
  readonly #unit: UnitFromTime;
  #before: CoreTotals | undefined;
  #beforeMs = 0;
  readonly #share = new BusyShare();

  constructor(unit: UnitFromTime) {
    this.#unit = unit;
  }

  next(totals: CoreTotals, atMs: number): CoreRates {
    const before = this.#before;
    const elapsedMs = atMs - this.#beforeMs;
    this.#before = totals;
    this.#beforeMs = atMs;
    if (before === undefined || elapsedMs <= 0) return {};
    const flops = difference(before.flops, totals.flops);
    const utilization = this.#utilization(before, totals, elapsedMs);
    return { flops: flops === undefined ? undefined : (flops * 1000) / elapsedMs, utilization };
  }

  /**
   * The driver adds the time of an execution when it completes, so a long one brings more busy time than the interval has.
   * Time that does not fit is carried into the next intervals: the average is right and no value passes 100.
   */
  #utilization(before: CoreTotals, totals: CoreTotals, elapsedMs: number): number | undefined {
    const busy = difference(before.busyTime, totals.busyTime);
    if (busy === undefined) {
      this.#share.reset();
      return undefined;
    }
    this.#unit.observe(busy, difference(before.completions, totals.completions) ?? 0, elapsedMs);
    const { unit } = this.#unit;
    if (unit === undefined) return busy === 0 ? 0 : undefined;
    return this.#share.next(busyMilliseconds(busy, unit), elapsedMs);
  }
}

/** Returns the difference, exact for totals beyond 2^53; undefined when one is missing or the total fell. */
function difference(before: number | bigint | undefined, now: number | bigint | undefined): number | undefined {
  if (before === undefined || now === undefined) return undefined;
  const delta = typeof before === 'number' && typeof now === 'number' ? now - before : Number(BigInt(now) - BigInt(before));
  return delta < 0 ? undefined : delta;
}
