import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../../src/host.ts';
import type { BcryptAnswer, BcryptTask } from './bcrypt-worker.ts';

/** Passwords waiting for their turn; more are turned away, since an answer would come too late to be of use. */
export const MAX_WAITING = 64;
/** The thread ends when nobody needed it for this long. */
const IDLE_MS = 60_000;

interface Waiting extends BcryptTask {
  readonly settle: (isMatch: boolean | undefined) => void;
}

/**
 * Computes bcrypt in a thread of its own, one password after the other: a hash costs tens of milliseconds of a core, and whoever
 * sends passwords decides how many. The thread starts with the first password.
 */
export class BcryptThread {
  readonly #clock: Clock;
  readonly #waiting: Waiting[] = [];
  #worker: Worker | undefined;
  #current: Waiting | undefined;
  #idle: Timer | undefined;
  #nextId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True or false; undefined when too many are waiting already, or the thread could not do it. */
  check(password: string, hash: string): Promise<boolean | undefined> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.resolve(undefined);
    return new Promise((settle) => {
      this.#nextId += 1;
      this.#waiting.push({ id: this.#nextId, password, hash, settle });
      this.#next();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#idle?.[Symbol.dispose]();
    for (const { settle } of this.#waiting.splice(0)) settle(undefined);
    const worker = this.#worker;
    this.#fail();
    await worker?.terminate();
  }

  #next(): void {
    if (this.#current !== undefined) return;
    this.#current = this.#waiting.shift();
    if (this.#current === undefined) {
      this.#idle = this.#clock.setTimer(() => this.#retire(), IDLE_MS, { background: true });
      return;
    }
    this.#idle?.[Symbol.dispose]();
    this.#worker ??= this.#start();
    const { id, password, hash } = this.#current;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage({ id, password, hash } satisfies BcryptTask);
  }

  #start(): Worker {
    const { Worker: Thread } = process.getBuiltinModule('node:worker_threads');
    const worker = new Thread(workerFile(), {
      name: 'bcrypt',
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
      // Neither signals nor output are this thread's business.
      env: {},
      execArgv: [],
    });
    worker.unref();
    worker.on('message', ({ id, isMatch }: BcryptAnswer) => {
      if (this.#current?.id !== id) return;
      this.#current.settle(isMatch);
      this.#current = undefined;
      this.#next();
    });
    worker.on('error', () => this.#fail());
    worker.on('exit', () => {
      if (this.#worker === worker) this.#fail();
    });
    return worker;
  }

  /** The thread is gone; whoever waits for it is told, the next password starts another. */
  #fail(): void {
    this.#worker = undefined;
    this.#current?.settle(undefined);
    this.#current = undefined;
    if (this.#waiting.length > 0) this.#next();
  }

  #retire(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }
}

/** Next to this file in the source tree, next to the bundle when bundled. */
function workerFile(): string {
  const folder = import.meta.dirname;
  const source = join(folder, 'bcrypt-worker.ts');
  return existsSync(source) ? source : join(folder, 'bcrypt-worker.cjs');
}
