export interface BackoffOptions {
  readonly initialMs: number;
  /** Longest wait after a refusal that was answered. */
  readonly maxAnsweredMs: number;
  /** Longest wait while nothing answers. */
  readonly maxMs: number;
  readonly factor: number;
}

/**
 * Short at first, because most refusals are of one request and the ones behind it wait. A receiver that answers is asked again after a
 * second at most: with 70 % refusals a longest wait of 5 s leaves a backlog in a fifth of all runs, 1 s in one of 200. Where nothing
 * answers, asking more often than twice a minute shortens no outage.
 */
export const BACKOFF_DEFAULTS: BackoffOptions = { initialMs: 50, maxAnsweredMs: 1000, maxMs: 30_000, factor: 1.3 };

/** Share of `Retry-After` that is added at random, so that agents that were told the same do not come back together. */
const RETRY_AFTER_JITTER = 0.1;

/** Exponential backoff without an end; each wait is between half and the whole of its step. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #stepMs: number;

  constructor(options: BackoffOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
    this.#stepMs = options.initialMs;
  }

  reset(): void {
    this.#stepMs = this.#options.initialMs;
  }

  /** How long to wait after one more failure. A receiver's own wish is a lower bound. */
  nextMs({ isAnswered, retryAfterMs }: { readonly isAnswered: boolean; readonly retryAfterMs?: number }): number {
    const { maxAnsweredMs, maxMs, factor } = this.#options;
    // An outage leaves a long step behind; the first answer after it shortens that.
    const step = Math.min(isAnswered ? maxAnsweredMs : maxMs, this.#stepMs);
    this.#stepMs = step * factor;
    if (retryAfterMs !== undefined && retryAfterMs > 0) return retryAfterMs * (1 + RETRY_AFTER_JITTER * this.#random());
    return step * (0.5 + 0.5 * this.#random());
  }
}
