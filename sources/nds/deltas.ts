import { BusyShare, busyMilliseconds } from '../busy-time.ts';
import type { UnitFromLatency } from '../busy-time.ts';
import { DatastoreCounters } from './counters.ts';
import { CORE_COUNTER } from './layout.ts';
import type { CoreRates } from './work.ts';

/** Counters that only ever rise while a datastore has one owner. */
const RISING = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 27, 28, 29] as const;

/** True when a counter fell: the datastore was wiped or has another owner. */
export function hasFallen(before: DatastoreCounters, now: DatastoreCounters): boolean {
  for (let core = 0; core < now.coreCount; core += 1) {
    for (const counter of RISING) if (now.riseSince(before, core, counter) < 0) return true;
  }
  return false;
}

/** Executions of all cores of one datastore together in a period, in neuron-monitor's words. */
export interface Tallies {
  readonly periodSeconds: number;
  readonly summary: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

/** Counts the executions of one datastore from one reading to the next. */
export class TallyTracker {
  readonly #before: DatastoreCounters;
  #beforeMs: number | undefined;

  constructor(coreCount: number) {
    this.#before = new DatastoreCounters(coreCount);
  }

  /** Undefined for the first reading, which is the baseline. */
  next(now: DatastoreCounters, atMs: number): Tallies | undefined {
    const beforeMs = this.#beforeMs;
    const tallies =
      beforeMs === undefined || atMs <= beforeMs
        ? undefined
        : {
            periodSeconds: (atMs - beforeMs) / 1_000,
            summary: outcomesSince(this.#before, now),
            errors: errorsSince(this.#before, now),
          };
    this.#before.take(now);
    this.#beforeMs = atMs;
    return tallies;
  }
}

function outcomesSince(before: DatastoreCounters, now: DatastoreCounters): Tallies['summary'] {
  return {
    completed: now.totalRiseSince(before, CORE_COUNTER.completed),
    completed_with_err: now.totalRiseSince(before, CORE_COUNTER.completedWithError),
    completed_with_num_err: now.totalRiseSince(before, CORE_COUNTER.completedWithNumericalError),
    timed_out: now.totalRiseSince(before, CORE_COUNTER.timedOut),
    incorrect_input: now.totalRiseSince(before, CORE_COUNTER.incorrectInput),
    failed_to_queue: now.totalRiseSince(before, CORE_COUNTER.failedToQueue),
  };
}

function errorsSince(before: DatastoreCounters, now: DatastoreCounters): Tallies['errors'] {
  return {
    generic: now.totalRiseSince(before, CORE_COUNTER.errorGeneric),
    numerical: now.totalRiseSince(before, CORE_COUNTER.errorNumerical),
    model: now.totalRiseSince(before, CORE_COUNTER.errorModel),
    transient: now.totalRiseSince(before, CORE_COUNTER.errorTransient),
    hardware: now.totalRiseSince(before, CORE_COUNTER.errorHardware),
    runtime: now.totalRiseSince(before, CORE_COUNTER.errorRuntime),
  };
}

/** Utilization and FLOP/s of the cores of one datastore, from one reading to the next. */
export class CoreRateTracker {
  readonly #calibration: UnitFromLatency;
  readonly #shares: readonly BusyShare[];
  /** Time of the reading after which a core's busy time last moved. */
  readonly #movedAfterMs: (number | undefined)[];
  readonly #before: DatastoreCounters;
  #beforeMs: number | undefined;

  constructor(calibration: UnitFromLatency, coreCount: number) {
    this.#calibration = calibration;
    this.#shares = Array.from({ length: coreCount }, () => new BusyShare());
    this.#movedAfterMs = Array.from({ length: coreCount });
    this.#before = new DatastoreCounters(coreCount);
  }

  /** Undefined for the first reading, which is the baseline: a datastore can begin with its last owner's counts. */
  next(now: DatastoreCounters, atMs: number): { readonly periodSeconds: number; readonly cores: readonly CoreRates[] } | undefined {
    const beforeMs = this.#beforeMs;
    const rates = beforeMs === undefined || atMs <= beforeMs ? undefined : this.#rates(now, beforeMs, atMs);
    this.#before.take(now);
    this.#beforeMs = atMs;
    return rates;
  }

  #rates(now: DatastoreCounters, beforeMs: number, atMs: number) {
    // Every core is evidence before any core is judged.
    for (let core = 0; core < now.coreCount; core += 1) this.#observe(now, core, beforeMs, atMs);
    const periodMs = atMs - beforeMs;
    const cores: CoreRates[] = [];
    for (let core = 0; core < now.coreCount; core += 1) {
      const flopsPerSecond = (2 * now.riseSince(this.#before, core, CORE_COUNTER.macs) * 1_000) / periodMs;
      const utilization = this.#utilization(now.riseSince(this.#before, core, CORE_COUNTER.timeInUse), core, periodMs);
      cores.push(utilization === undefined ? { flopsPerSecond } : { flopsPerSecond, utilization });
    }
    return { periodSeconds: periodMs / 1_000, cores };
  }

  #observe(now: DatastoreCounters, core: number, beforeMs: number, atMs: number): void {
    const busy = now.riseSince(this.#before, core, CORE_COUNTER.timeInUse);
    if (busy === 0) return;
    const movedAfterMs = this.#movedAfterMs[core];
    this.#movedAfterMs[core] = beforeMs;
    this.#calibration.observe({
      busy,
      completed: now.riseSince(this.#before, core, CORE_COUNTER.completed),
      // An execution may have begun long before the first reading. When in its interval the counter moved nobody knows: at its beginning.
      maxSinceLastMoveMs: movedAfterMs === undefined ? Number.POSITIVE_INFINITY : atMs - movedAfterMs,
      latencySeconds: now.latencyDeviceSeconds(core),
    });
  }

  #utilization(busy: number, core: number, periodMs: number): number | undefined {
    const unit = this.#calibration.unit;
    if (unit === undefined) return busy === 0 ? 0 : undefined;
    return this.#shares[core]?.next(busyMilliseconds(busy, unit), periodMs);
  }
}
