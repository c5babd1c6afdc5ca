import type { Clock, Timer } from './host.ts';

/** Work that recurs; tasks that fall due together run in one call. */
export interface Task<T> {
  readonly periodMs: number;
  readonly value: T;
}

export interface SchedulerOptions<T> {
  readonly clock: Clock;
  readonly tasks: readonly Task<T>[];
  /** Called with everything that is due. The next call waits for this one to settle. */
  readonly run: (due: readonly Task<T>[]) => Promise<void>;
  /** Periods that were left out because a run took too long, or the process was suspended. */
  readonly skipped: (task: Task<T>, periods: number) => void;
  /** A run threw; the next one comes all the same. */
  readonly failed: (thrown: unknown) => void;
}

/**
 * Owns time: due times lie on a fixed monotonic grid (no drift), runs never overlap, and what was missed is skipped and
 * counted, never caught up in a burst.
 */
export class Scheduler<T> {
  readonly #options: SchedulerOptions<T>;
  readonly #dueMs = new Map<Task<T>, number>();
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: SchedulerOptions<T>) {
    this.#options = options;
  }

  /** First run at once, then on the grid of each task's period. */
  start(): void {
    const startMs = this.#options.clock.monotonicMs();
    for (const task of this.#options.tasks) this.#dueMs.set(task, startMs);
    if (this.#options.tasks.length > 0) this.#arm();
  }

  /** No new run starts; resolves when the current one has ended. Safe to repeat. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    await this.#running;
  }

  #arm(): void {
    if (this.#stopped) return;
    const nextMs = Math.min(...this.#dueMs.values());
    const delayMs = Math.max(0, nextMs - this.#options.clock.monotonicMs());
    this.#timer = this.#options.clock.setTimer(() => {
      this.#running = this.#runDue().finally(() => this.#arm());
    }, delayMs);
  }

  async #runDue(): Promise<void> {
    const due = this.#takeDue();
    // A timer may fire a fraction of a millisecond early; then nothing is due yet and the timer is set again.
    if (due.length === 0) return;
    try {
      await this.#options.run(due);
    } catch (thrown) {
      this.#options.failed(thrown);
    }
  }

  #takeDue(): readonly Task<T>[] {
    const nowMs = this.#options.clock.monotonicMs();
    const due: Task<T>[] = [];
    for (const [task, dueMs] of this.#dueMs) {
      if (dueMs > nowMs) continue;
      const missed = Math.floor((nowMs - dueMs) / task.periodMs);
      if (missed > 0) this.#options.skipped(task, missed);
      this.#dueMs.set(task, dueMs + (missed + 1) * task.periodMs);
      due.push(task);
    }
    return due;
  }
}
