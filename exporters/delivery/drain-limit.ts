/** How many times faster than requests are made they may be sent after an outage. */
const DRAIN_FACTOR = 20;
/** Requests a second when none are being made, as after a restart. */
const IDLE_RATE = 10;
/** The allowance that one period of many requests earns is not cut off. */
const MAX_ALLOWED = 1000;

/**
 * Keeps a receiver that has just recovered from being buried under a backlog: each new request allows `DRAIN_FACTOR` to be sent,
 * and a failure takes back what was saved up. In a healthy queue, where one is sent for each that is made, it never limits anything.
 */
export class DrainLimit {
  #allowed = DRAIN_FACTOR;
  #refilledAtMs: number;

  constructor(nowMs: number) {
    this.#refilledAtMs = nowMs;
  }

  /** A request was made. */
  added(): void {
    this.#allowed = Math.min(this.#allowed + DRAIN_FACTOR, MAX_ALLOWED);
  }

  /** The receiver did not take a request. */
  failed(): void {
    this.#allowed = Math.min(this.#allowed, DRAIN_FACTOR);
  }

  /** How many requests may be sent now; when none, `waitMs` says when to ask again. */
  allowed(nowMs: number): { readonly requests: number; readonly waitMs: number } {
    const earned = Math.floor(((nowMs - this.#refilledAtMs) * IDLE_RATE) / 1000);
    if (earned > 0) {
      this.#allowed = Math.max(this.#allowed, Math.min(this.#allowed + earned, DRAIN_FACTOR));
      this.#refilledAtMs += (earned * 1000) / IDLE_RATE;
    }
    if (this.#allowed >= 1) return { requests: this.#allowed, waitMs: 0 };
    return { requests: 0, waitMs: Math.max(1, this.#refilledAtMs + 1000 / IDLE_RATE - nowMs) };
  }

  sent(requests: number): void {
    this.#allowed = Math.max(0, this.#allowed - requests);
  }
}
