import type { Clock } from '../../src/host.ts';

/** Reasons that end a wait early, from the weakest: new work, a flush, the end. A wait ends for the reason that it names and for stronger ones. */
const REASONS = ['work', 'flush', 'end'] as const;
export type WakeReason = (typeof REASONS)[number];

/** The one wait of a loop. */
export class Pause {
  readonly #clock: Clock;
  #ended: { readonly until: WakeReason; readonly resolve: () => void } | undefined;
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Waits for the delay, or without one for ever, unless woken. After `wake('end')` nothing waits any more. */
  async wait(until: WakeReason, delayMs?: number): Promise<void> {
    if (this.#isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = { until, resolve };
    using _timer = delayMs === undefined ? undefined : this.#clock.setTimer(resolve, delayMs, { background: true });
    await promise;
    this.#ended = undefined;
  }

  wake(reason: WakeReason): void {
    if (reason === 'end') this.#isOver = true;
    if (this.#ended !== undefined && REASONS.indexOf(reason) >= REASONS.indexOf(this.#ended.until)) this.#ended.resolve();
  }
}
