/** The unit of `nc_time_in_use`: microseconds by the guide, picoseconds in newer drivers' own arithmetic. */
export type TimeUnit = 'us' | 'ps';

const PER_MS: Readonly<Record<TimeUnit, number>> = { us: 1e3, ps: 1e9 };

/** More busy time than this share of the interval, in microseconds, cannot be microseconds: a core has no more time than there is. */
const NOT_MICROSECONDS = 1.05;
/** Beyond this it cannot be nanoseconds either. */
const NOT_NANOSECONDS = 1_050;

/** Tells the unit from what cores do: one verdict for all cores of a host, valid until the driver is loaded again. */
export class TimeUnitTest {
  #verdict: TimeUnit | undefined;

  get verdict(): TimeUnit | undefined {
    return this.#verdict;
  }

  /** `delta` units of busy time and `completions` executions in `elapsedMs`. */
  observe(delta: number, completions: number, elapsedMs: number): void {
    if (delta <= 0 || elapsedMs <= 0) return;
    const asMicroseconds = delta / (elapsedMs * 1e3);
    if (asMicroseconds > NOT_NANOSECONDS) this.#verdict = 'ps';
    // No execution ends within a microsecond, so as picoseconds this would be too little for what completed.
    else if (this.#verdict === undefined && asMicroseconds <= NOT_MICROSECONDS && completions > 0 && delta >= completions) {
      this.#verdict = 'us';
    }
  }
}

/** Busy time waiting to be spread is forgotten beyond this: nothing runs that long without completing. */
const MAX_BACKLOG_MS = 60_000;

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

/** Rates of one core between two readings of its totals. A total that fell begins anew and gives no rate. */
export class CoreActivity {
  readonly #unit: TimeUnitTest;
  #before: CoreTotals | undefined;
  #beforeMs = 0;
  #backlogMs = 0;

  constructor(unit: TimeUnitTest) {
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
   * What does not fit is carried into the next intervals: the average is right and no value passes 100.
   */
  #utilization(before: CoreTotals, totals: CoreTotals, elapsedMs: number): number | undefined {
    const busy = difference(before.busyTime, totals.busyTime);
    if (busy === undefined) {
      this.#backlogMs = 0;
      return undefined;
    }
    this.#unit.observe(busy, difference(before.completions, totals.completions) ?? 0, elapsedMs);
    const unit = this.#unit.verdict;
    if (unit === undefined) return busy === 0 ? 0 : undefined;
    const dueMs = Math.min(MAX_BACKLOG_MS, this.#backlogMs + busy / PER_MS[unit]);
    const usedMs = Math.min(elapsedMs, dueMs);
    this.#backlogMs = dueMs - usedMs;
    return (100 * usedMs) / elapsedMs;
  }
}

/** Exact for totals beyond 2^53; undefined when one is missing or the total fell. */
function difference(before: number | bigint | undefined, now: number | bigint | undefined): number | undefined {
  if (before === undefined || now === undefined) return undefined;
  const delta = typeof before === 'number' && typeof now === 'number' ? now - before : Number(BigInt(now) - BigInt(before));
  return delta < 0 ? undefined : delta;
}
