import type { Clock } from '../../../src/host.ts';

/** A token bucket: `burst` requests at once, then one each `intervalMs`; the meaning of Go's `rate.Limiter`. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #burst: number;
  #tokens: number;
  #lastMs: number;

  constructor(options: { readonly intervalMs: number; readonly burst: number; readonly clock: Clock }) {
    this.#clock = options.clock;
    this.#intervalMs = options.intervalMs;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#lastMs = options.clock.monotonicMs();
  }

  /** Takes a token; false when there is none. */
  allow(): boolean {
    // Go's limiter lets everything pass when the time between two events is not positive.
    if (this.#intervalMs <= 0) return true;
    const nowMs = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#lastMs) / this.#intervalMs);
    this.#lastMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
