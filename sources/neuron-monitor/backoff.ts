const FIRST_MS = 1_000;
const CAP_MS = 60_000;
/** Half of the jitter: a delay is between 80 % and 120 % of its step, so that a fleet does not restart in step. */
const JITTER = 0.2;

/** Doubling delays from 1 s to 60 s. */
export class Backoff {
  readonly #random: () => number;
  #nextMs = FIRST_MS;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  next(): number {
    const delayMs = this.#nextMs * (1 + JITTER * (2 * this.#random() - 1));
    this.#nextMs = Math.min(2 * this.#nextMs, CAP_MS);
    return Math.round(Math.min(delayMs, CAP_MS));
  }

  reset(): void {
    this.#nextMs = FIRST_MS;
  }
}
