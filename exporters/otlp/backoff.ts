export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/**
 * Short at first, because most refusals are of one request and the ones behind it wait; half a minute at last, because an
 * outage is not shortened by asking. 22 steps and about two minutes lie between.
 */
export const BACKOFF_DEFAULTS: BackoffOptions = { initialMs: 100, maxMs: 30_000, factor: 1.3 };

/** Share of `Retry-After` that is added at random, so that agents that were told the same do not come back together. */
const RETRY_AFTER_JITTER = 0.1;

/** Exponential backoff without an end; each wait is between half and the whole of its step. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** How long to wait after one more failure. A receiver's own wish is a lower bound. */
  nextMs(retryAfterMs?: number): number {
    const { initialMs, maxMs, factor } = this.#options;
    const step = Math.min(maxMs, initialMs * factor ** this.#failures);
    this.#failures += 1;
    if (retryAfterMs !== undefined && retryAfterMs > 0) return retryAfterMs * (1 + RETRY_AFTER_JITTER * this.#random());
    return step * (0.5 + 0.5 * this.#random());
  }
}
