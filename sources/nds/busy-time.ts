/** Units `TIME_IN_USE` may have, as parts of a microsecond. */
const PER_MICROSECOND = { us: 1, ns: 1_000, ps: 1_000_000 } as const;

/**
 * The unit of `TIME_IN_USE`: the sysfs guide and driver 2.21's notes say microseconds, driver 2.26 divides as if it were picoseconds.
 */
export type BusyTimeUnit = keyof typeof PER_MICROSECOND;

const UNITS = ['us', 'ns', 'ps'] as const satisfies readonly BusyTimeUnit[];

/** What one core did between two readings. */
export interface CoreWork {
  /** Change of `TIME_IN_USE`, in its unit. */
  readonly busy: number;
  readonly completed: number;
  /** Time since the counter last moved, at most: an execution adds all its time when it completes. */
  readonly maxSinceLastMoveMs: number;
  /** Seconds of the last execution on the device. */
  readonly latencySeconds?: number | undefined;
}

/** A core cannot be busy for longer than there was time; a little more is allowed for readings that are not simultaneous. */
const MAX_SHARE = 1.05;
const SLACK_US = 5_000;
/** No execution on a device is shorter. */
const SHORTEST_EXECUTION_US = 1;
/** After so many executions without other evidence the documented unit is taken before nanoseconds, which no document names. */
const ENOUGH_EXECUTIONS = 100;
/** Executions × last latency is a rough estimate of the busy time. Units are a factor of 1,000 apart, so it need not be good. */
const MAX_ESTIMATE_FACTOR = 30;
/** So many executions make the estimate usable: the last latency alone may be far from the average. */
const MIN_ESTIMATED_EXECUTIONS = 3;

/**
 * Finds the unit of `TIME_IN_USE` from what cores do. A unit is ruled out when a core would have been busy for longer than there was
 * time, or executions would have been impossibly short; it is chosen when the busy time fits executions × latency.
 * No verdict, no utilization.
 */
export class BusyTimeCalibration {
  readonly #possible = new Set<BusyTimeUnit>(UNITS);
  #verdict: BusyTimeUnit | undefined;
  #executions = 0;

  get verdict(): BusyTimeUnit | undefined {
    return this.#verdict;
  }

  observe(work: CoreWork): void {
    const { busy } = work;
    if (busy <= 0) return;
    if (this.#agrees(work)) {
      this.#executions += work.completed;
      return;
    }
    const fitting = UNITS.filter((unit) => !isImpossible(busy / PER_MICROSECOND[unit], work));
    if (!fitting.some((unit) => this.#possible.has(unit))) this.#beginAnew();
    this.#executions += work.completed;
    for (const unit of UNITS) if (!fitting.includes(unit)) this.#possible.delete(unit);
    if (this.#verdict !== undefined && !this.#possible.has(this.#verdict)) this.#verdict = undefined;
    if (this.#possible.size === 1) [this.#verdict] = this.#possible;
    else this.#verdict ??= this.#estimate(busy, work) ?? this.#documented();
  }

  /** Only one unit is left, and this is what it would look like: the case of nearly every core at nearly every reading. */
  #agrees(work: CoreWork): boolean {
    if (this.#verdict === undefined || this.#possible.size > 1) return false;
    return !isImpossible(work.busy / PER_MICROSECOND[this.#verdict], work);
  }

  /** What was seen contradicts itself: it did not all mean the same. */
  #beginAnew(): void {
    for (const unit of UNITS) this.#possible.add(unit);
    this.#executions = 0;
  }

  #documented(): BusyTimeUnit | undefined {
    return this.#executions >= ENOUGH_EXECUTIONS && this.#possible.has('us') && !this.#possible.has('ps') ? 'us' : undefined;
  }

  #estimate(busy: number, { completed, latencySeconds }: CoreWork): BusyTimeUnit | undefined {
    if (latencySeconds === undefined || completed < MIN_ESTIMATED_EXECUTIONS) return undefined;
    const expectedUs = completed * latencySeconds * 1e6;
    return UNITS.find((unit) => {
      const factor = busy / PER_MICROSECOND[unit] / expectedUs;
      return this.#possible.has(unit) && factor < MAX_ESTIMATE_FACTOR && factor > 1 / MAX_ESTIMATE_FACTOR;
    });
  }
}

function isImpossible(busyUs: number, { maxSinceLastMoveMs, completed }: CoreWork): boolean {
  if (busyUs > maxSinceLastMoveMs * 1_000 * MAX_SHARE + SLACK_US) return true;
  return completed >= MIN_ESTIMATED_EXECUTIONS && busyUs / completed < SHORTEST_EXECUTION_US;
}

export function busyMilliseconds(busy: number, unit: BusyTimeUnit): number {
  return busy / PER_MICROSECOND[unit] / 1_000;
}

/** Busy time waiting for its interval is forgotten beyond this. */
const MAX_WAITING_MS = 60_000;

/**
 * Spreads busy time over the intervals it was spent in. A long execution brings more than the interval has: what does not fit is
 * carried into the next ones, so no share passes 100 % and the average is right.
 */
export class BusyShare {
  #waitingMs = 0;

  /** Percent of the interval. */
  next(busyMs: number, intervalMs: number): number {
    const dueMs = Math.min(this.#waitingMs + busyMs, MAX_WAITING_MS);
    const spentMs = Math.min(dueMs, intervalMs);
    this.#waitingMs = dueMs - spentMs;
    return (100 * spentMs) / intervalMs;
  }
}
