import type { Clock, Timer } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';

const KEPT_BYTES = 8 * 1024;
/** What is written in one go becomes one log line. */
const SETTLE_MS = 500;
/** A child that says something new all the time is heard this often. */
const QUIET_MS = 10_000;

/**
 * The child's stderr, for the log: the last 8 KiB, once each time its last line says something new. Numbers do not count as new, so
 * timestamps and counters do not fill the log.
 */
export class StderrLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #kept: Buffer = Buffer.alloc(0);
  #timer: Timer | undefined;
  #lastShape = '';
  #quietUntilMs = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  push(chunk: Uint8Array): void {
    this.#kept = Buffer.concat([this.#kept, chunk.subarray(-KEPT_BYTES)]).subarray(-KEPT_BYTES);
    const waitMs = Math.max(SETTLE_MS, this.#quietUntilMs - this.#clock.monotonicMs());
    this.#timer ??= this.#clock.setTimer(() => this.flush(), waitMs, { background: true });
  }

  /** Logs what is new, and forgets what was kept. */
  flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const text = this.#kept.toString('utf8').trim();
    this.#kept = Buffer.alloc(0);
    const shape = text.slice(text.lastIndexOf('\n') + 1).replaceAll(/\d+/g, '#');
    if (text === '' || shape === this.#lastShape) return;
    this.#lastShape = shape;
    this.#quietUntilMs = this.#clock.monotonicMs() + QUIET_MS;
    this.#logger.warn({ stderr: text }, 'neuron-monitor wrote to stderr');
  }
}
