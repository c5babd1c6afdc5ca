/** Units of busy time, as how many there are in a microsecond. */
const PER_MICROSECOND = { us: 1, ns: 1_000, ps: 1_000_000 } as const;

/**
 * The unit of busy time, `TIME_IN_USE` of a datastore and `nc_time_in_use` of sysfs: the sysfs guide and driver 2.21's notes say microseconds, driver 2.26 divides as if it were picoseconds.
 */
export type BusyTimeUnit = keyof typeof PER_MICROSECOND;

const UNITS = ['us', 'ns', 'ps'] as const satisfies readonly BusyTimeUnit[];

/** `CoreWork` is the work of one core between two readings. */
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
/**
 * Executions × last latency is a rough estimate of the busy time, exact for one execution. Units are a factor of 1,000 apart, so it need not
 * be good. The first period, a tenth of a second, often has but one.
 */
const MAX_ESTIMATE_FACTOR = 30;
/** Fewer executions than this may be a rounding of the counters: only more of them can be impossibly short. */
const MIN_SHORT_EXECUTIONS = 3;

/**
 * `UnitFromLatency` finds the unit of `TIME_IN_USE` of a datastore. A unit is ruled out when a core would have been busy for longer than there was
 * time, or executions would have been impossibly short; it is chosen when the busy time fits executions × latency.
 * Without a unit there is no utilization.
 */
export class UnitFromLatency {
  readonly #possible = new Set<BusyTimeUnit>(UNITS);
  #unit: BusyTimeUnit | undefined;
  #executions = 0;

  get unit(): BusyTimeUnit | undefined {
    return this.#unit;
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
    if (this.#unit !== undefined && !this.#possible.has(this.#unit)) this.#unit = undefined;
    if (this.#possible.size === 1) [this.#unit] = this.#possible;
    else this.#unit ??= this.#estimate(busy, work) ?? this.#documented();
  }

  /** Returns true when only one unit is left and the work fits it, as nearly all work does. */
  #agrees(work: CoreWork): boolean {
    if (this.#unit === undefined || this.#possible.size > 1) return false;
    return !isImpossible(work.busy / PER_MICROSECOND[this.#unit], work);
  }

  /** Forgets everything: two observations that contradict each other had different units. */
  #beginAnew(): void {
    for (const unit of UNITS) this.#possible.add(unit);
    this.#executions = 0;
  }

  #documented(): BusyTimeUnit | undefined {
    return this.#executions >= ENOUGH_EXECUTIONS && this.#possible.has('us') && !this.#possible.has('ps') ? 'us' : undefined;
  }

  #estimate(busy: number, { completed, latencySeconds }: CoreWork): BusyTimeUnit | undefined {
    if (latencySeconds === undefined || completed < 1) return undefined;
    const expectedUs = completed * latencySeconds * 1e6;
    return UNITS.find((unit) => {
      const factor = busy / PER_MICROSECOND[unit] / expectedUs;
      return this.#possible.has(unit) && factor < MAX_ESTIMATE_FACTOR && factor > 1 / MAX_ESTIMATE_FACTOR;
    });
  }
}

function isImpossible(busyUs: number, { maxSinceLastMoveMs, completed }: CoreWork): boolean {
  if (busyUs > maxSinceLastMoveMs * 1_000 * MAX_SHARE + SLACK_US) return true;
  return completed >= MIN_SHORT_EXECUTIONS && busyUs / completed < SHORTEST_EXECUTION_US;
}

export function busyMilliseconds(busy: number, unit: BusyTimeUnit): number {
  return busy / PER_MICROSECOND[unit] / 1_000;
}

/** More busy time than this share of the interval, in microseconds, cannot be microseconds: a core has no more time than there is. */
const NOT_MICROSECONDS = 1.05;
/** Beyond this share it cannot be nanoseconds either. */
const NOT_NANOSECONDS = 1_050;

/**
 * `UnitFromTime` finds the unit of `nc_time_in_use` of sysfs: one for all cores of a host, valid until the driver is loaded again. sysfs
 * has no latencies, so only the time that passed and the number of completed executions decide, and nanoseconds, which no driver
 * documents, are never chosen.
 */
export class UnitFromTime {
  #unit: BusyTimeUnit | undefined;

  get unit(): BusyTimeUnit | undefined {
    return this.#unit;
  }

  /** `delta` units of busy time and `completions` executions in `elapsedMs`. */
  observe(delta: number, completions: number, elapsedMs: number): void {
    if (delta <= 0 || elapsedMs <= 0) return;
    const asMicroseconds = delta / (elapsedMs * 1e3);
    if (asMicroseconds > NOT_NANOSECONDS) this.#unit = 'ps';
    // No execution ends within a microsecond, so as picoseconds this would be too little for what completed.
    else if (this.#unit === undefined && asMicroseconds <= NOT_MICROSECONDS && completions > 0 && delta >= completions) {
      this.#unit = 'us';
    }
  }
}

/** Busy time that waits for its interval is dropped beyond this: nothing runs that long without completing. */
const MAX_WAITING_MS = 60_000;

/**
 * `BusyShare` spreads the busy time of one core over the intervals it was spent in. A long execution brings more than the interval has: what does not fit is
 * carried into the next ones, so no share passes 100 % and the average is right.
 */
export class BusyShare {
  #waitingMs = 0;

  /** Drops what waits, after a counter that began anew. */
  reset(): void {
    this.#waitingMs = 0;
  }

  /** Percent of the interval. */
  next(busyMs: number, intervalMs: number): number {
    const dueMs = Math.min(this.#waitingMs + busyMs, MAX_WAITING_MS);
    const spentMs = Math.min(dueMs, intervalMs);
    this.#waitingMs = dueMs - spentMs;
    // 100 × a ÷ a can come out a little above 100, which readers assert against.
    return Math.min(100, (100 * spentMs) / intervalMs);
  }
}
