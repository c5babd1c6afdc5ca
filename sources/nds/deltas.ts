import { BusyShare, busyMilliseconds } from './busy-time.ts';
import type { BusyTimeCalibration } from './busy-time.ts';
import type { CoreCounters } from './counters.ts';
import { CORE_COUNTER } from './layout.ts';
import type { CoreRates } from './work.ts';

/** Counters that only ever rise while a datastore has one owner. */
const RISING = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 27, 28, 29] as const;

const OUTCOMES = {
  completed: CORE_COUNTER.completed,
  completed_with_err: CORE_COUNTER.completedWithError,
  completed_with_num_err: CORE_COUNTER.completedWithNumericalError,
  timed_out: CORE_COUNTER.timedOut,
  incorrect_input: CORE_COUNTER.incorrectInput,
  failed_to_queue: CORE_COUNTER.failedToQueue,
} as const;

const ERRORS = {
  generic: CORE_COUNTER.errorGeneric,
  numerical: CORE_COUNTER.errorNumerical,
  model: CORE_COUNTER.errorModel,
  transient: CORE_COUNTER.errorTransient,
  hardware: CORE_COUNTER.errorHardware,
  runtime: CORE_COUNTER.errorRuntime,
} as const;

/** True when a counter fell: the datastore was wiped or has another owner. */
export function hasFallen(before: readonly CoreCounters[], now: readonly CoreCounters[]): boolean {
  return now.some((core, index) => RISING.some((counter) => difference(before[index], core, counter) < 0n));
}

/** Tallies of all cores together between two readings, in neuron-monitor's words. */
export function tallies(before: readonly CoreCounters[], now: readonly CoreCounters[]) {
  const add = (ids: Readonly<Record<string, number>>): Record<string, number> =>
    Object.fromEntries(Object.entries(ids).map(([name, counter]) => [name, Number(change(before, now, counter))]));
  return { summary: add(OUTCOMES), errors: add(ERRORS) };
}

function change(before: readonly CoreCounters[], now: readonly CoreCounters[], counter: number): bigint {
  return now.reduce((sum, core, index) => sum + difference(before[index], core, counter), 0n);
}

/** A core that was not there before, which does not happen, would have counted nothing. */
function difference(before: CoreCounters | undefined, now: CoreCounters, counter: number): bigint {
  const [was, is] = [before?.counters[counter], now.counters[counter]];
  return was === undefined || is === undefined ? 0n : is - was;
}

interface Reading {
  readonly cores: readonly CoreCounters[];
  readonly atMs: number;
}

/** Utilization and FLOP/s of the cores of one datastore, from one reading to the next. */
export class CoreRateTracker {
  readonly #calibration: BusyTimeCalibration;
  readonly #shares: readonly BusyShare[];
  /** Time of the reading after which a core's busy time last moved. */
  readonly #movedAfterMs: (number | undefined)[];
  #before: Reading | undefined;

  constructor(calibration: BusyTimeCalibration, coreCount: number) {
    this.#calibration = calibration;
    this.#shares = Array.from({ length: coreCount }, () => new BusyShare());
    this.#movedAfterMs = Array.from({ length: coreCount });
  }

  /** Undefined for the first reading, which is the baseline: a datastore can begin with its last owner's counts. */
  next(cores: readonly CoreCounters[], atMs: number): { readonly periodSeconds: number; readonly cores: readonly CoreRates[] } | undefined {
    const before = this.#before;
    this.#before = { cores, atMs };
    if (before === undefined || atMs <= before.atMs) return undefined;
    const periodMs = atMs - before.atMs;
    // Every core is evidence before any core is judged.
    const observed = cores.map((core, index) => ({ core, index, busy: this.#observe(before, core, index, atMs) }));
    const rates = observed.map(({ core, index, busy }) => {
      const utilization = this.#utilization(busy, index, periodMs);
      return {
        flopsPerSecond: (2 * Number(difference(before.cores[index], core, CORE_COUNTER.macs)) * 1_000) / periodMs,
        ...(utilization !== undefined && { utilization }),
      };
    });
    return { periodSeconds: periodMs / 1_000, cores: rates };
  }

  #observe(before: Reading, now: CoreCounters, core: number, atMs: number): bigint {
    const busy = difference(before.cores[core], now, CORE_COUNTER.timeInUse);
    if (busy === 0n) return busy;
    const movedAfterMs = this.#movedAfterMs[core];
    this.#movedAfterMs[core] = before.atMs;
    this.#calibration.observe({
      busy,
      completed: Number(difference(before.cores[core], now, CORE_COUNTER.completed)),
      // An execution may have begun long before the first reading. When in its interval the counter moved nobody knows: at its beginning.
      maxSinceLastMoveMs: movedAfterMs === undefined ? Number.POSITIVE_INFINITY : atMs - movedAfterMs,
      ...(now.latencyDeviceSeconds !== undefined && { latencySeconds: now.latencyDeviceSeconds }),
    });
    return busy;
  }

  #utilization(busy: bigint, core: number, periodMs: number): number | undefined {
    const unit = this.#calibration.verdict;
    if (unit === undefined) return busy === 0n ? 0 : undefined;
    return this.#shares[core]?.next(busyMilliseconds(busy, unit), periodMs);
  }
}
