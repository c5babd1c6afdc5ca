import type { Clock, Timer } from '../../src/host.ts';

interface Pending {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Time that moves only when a test says so; timers fire in order, and pending promises settle between them. */
export class ManualClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  readonly #pending = new Set<Pending>();

  constructor(nowMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const pending = { dueMs: this.#monotonicMs + delayMs, callback };
    this.#pending.add(pending);
    return { [Symbol.dispose]: () => void this.#pending.delete(pending) };
  }

  /** Moves the wall clock alone, as an administrator or NTP does. */
  jumpWallClock(byMs: number): void {
    this.#nowMs += byMs;
  }

  /** Moves both clocks without letting timers fire in between, as a suspended machine does. */
  suspend(forMs: number): void {
    this.#nowMs += forMs;
    this.#monotonicMs += forMs;
  }

  async advance(byMs: number): Promise<void> {
    const endMs = this.#monotonicMs + byMs;
    for (;;) {
      await settle();
      const next = [...this.#pending].toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > endMs) break;
      this.#pending.delete(next);
      this.#move(Math.max(next.dueMs, this.#monotonicMs));
      next.callback();
    }
    this.#move(endMs);
    await settle();
  }

  #move(toMs: number): void {
    this.#nowMs += toMs - this.#monotonicMs;
    this.#monotonicMs = toMs;
  }
}

/** Lets promise chains that need no I/O run to their end. */
async function settle(): Promise<void> {
  for (let round = 0; round < 3; round += 1) await new Promise((resolve) => setImmediate(resolve));
}
