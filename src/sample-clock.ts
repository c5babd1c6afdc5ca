import type { Clock } from './host.ts';

/** Steps back of the wall clock up to this much are smoothed: points keep rising times, at half speed, until the clock has caught up. */
export const SMOOTHED_STEP_MS = 2_000;
/** Smaller differences are the adjustment of a clock, not a step; start times do not follow them. */
const SHIFT_TOLERANCE_MS = 500;
/** Two cycles within one millisecond still have different times: that is as fine as Prometheus keeps them. */
const LEAST_ADVANCE_MS = 1;

/** How the wall clock relates to the one that the agent was started with. The object is the same until one of the numbers changes. */
export interface ClockState {
  /** Milliseconds from the wall clock of the start to that of today; negative after it was set back. */
  readonly shiftMs: number;
  /** How often it was set back by more than what is smoothed. */
  readonly setBacks: number;
}

export interface SampleMoment {
  /** Milliseconds since the epoch. */
  readonly sampledAtMs: number;
  readonly clockState: ClockState;
  /** How far the wall clock was set back since the moment before, when that is more than what is smoothed; otherwise 0. */
  readonly setBackMs: number;
}

/**
 * `SampleClock` gives each cycle the time that its points carry: the wall clock's time of the sample, later than that of the cycle before
 * unless the wall clock was set back. So the times of one resource rise from request to request, and no series has two points of one time.
 * The monotonic clock shows what is a step and what is time that passed.
 */
export class SampleClock {
  readonly #clock: Clock;
  readonly #startOffsetMs: number;
  readonly #startedAtMs: number;
  #offsetMs: number;
  #monotonicMs: number;
  #state: ClockState = { shiftMs: 0, setBacks: 0 };
  /** How far points are ahead of the wall clock because a step back is being smoothed. */
  #aheadMs = 0;
  #lastMs: number | undefined;
  #selfStartMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAtMs = clock.nowMs();
    this.#monotonicMs = clock.monotonicMs();
    this.#startOffsetMs = this.#startedAtMs - this.#monotonicMs;
    this.#offsetMs = this.#startOffsetMs;
    this.#selfStartMs = this.#startedAtMs;
  }

  /** Time of the last cycle; undefined before the first one. */
  get lastMs(): number | undefined {
    return this.#lastMs;
  }

  /** Since when the agent counts what it counts about itself, in the wall clock of the last cycle. */
  get selfStartMs(): number {
    return this.#selfStartMs;
  }

  /** Moves on to the next cycle, whose values the source read at this wall-clock time. */
  next(wallMs: number): SampleMoment {
    const nowMs = this.#clock.nowMs();
    const setBackMs = this.#follow(nowMs);
    // A source may have read the wall clock before it was set back.
    const sampledAtMs = Math.max(Math.min(wallMs, nowMs) + this.#aheadMs, (this.#lastMs ?? 0) + LEAST_ADVANCE_MS);
    this.#lastMs = sampledAtMs;
    this.#selfStartMs = Math.min(this.#selfStartMs, sampledAtMs);
    return { sampledAtMs, clockState: this.#state, setBackMs };
  }

  /** Finds out whether the wall clock was set since the last cycle. Returns how far it was set back, 0 when that is smoothed. */
  #follow(nowMs: number): number {
    const monotonicMs = this.#clock.monotonicMs();
    const offsetMs = nowMs - monotonicMs;
    const caughtUpMs = (monotonicMs - this.#monotonicMs) / 2;
    this.#aheadMs = Math.max(0, Math.max(0, this.#aheadMs - caughtUpMs) + this.#offsetMs - offsetMs);
    this.#offsetMs = offsetMs;
    this.#monotonicMs = monotonicMs;
    const shiftMs = offsetMs - this.#startOffsetMs;
    if (Math.abs(shiftMs - this.#state.shiftMs) > SHIFT_TOLERANCE_MS) this.#state = { ...this.#state, shiftMs };
    return this.#aheadMs > SMOOTHED_STEP_MS ? this.#setBack() : 0;
  }

  #setBack(): number {
    const setBackMs = this.#aheadMs;
    this.#aheadMs = 0;
    this.#lastMs = undefined;
    this.#state = { ...this.#state, setBacks: this.#state.setBacks + 1 };
    this.#selfStartMs = newStartMs(this.#selfStartMs, this.#startedAtMs + this.#state.shiftMs);
    return setBackMs;
  }
}

/** The start of a series in a wall clock that was set back, never the same as before: the points of one start have rising times. */
export function newStartMs(startMs: number, shiftedMs: number): number {
  return shiftedMs === startMs ? startMs + 1 : shiftedMs;
}
