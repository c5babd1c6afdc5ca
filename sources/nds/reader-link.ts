import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { AgentError } from '../../src/errors.ts';
import type { Clock, Timer } from '../../src/host.ts';
import { DatastoreCollector } from './collector.ts';
import type { CollectorOptions } from './collector.ts';
import type { ReaderLink, WorkerAnswer, WorkerCommand, WorkerStart } from './work.ts';

/** Files are rewritten a few times a second at most. */
const POLL_INTERVAL_MS = 250;

/** Reads datastores that are files: nothing blocks, so no thread is needed, and time is the host's. */
export class LocalLink implements ReaderLink {
  readonly isBusy = false;
  readonly end: AgentError | undefined = undefined;
  readonly #clock: Clock;
  readonly #collector: DatastoreCollector;
  #timer: Timer | undefined;

  constructor(clock: Clock, options: Omit<CollectorOptions, 'monotonicMs'>) {
    this.#clock = clock;
    this.#collector = new DatastoreCollector({ ...options, monotonicMs: () => clock.monotonicMs() });
  }

  async ask(command: WorkerCommand): Promise<WorkerAnswer> {
    if (command.kind === 'stop') {
      this.#timer?.[Symbol.dispose]();
      this.#collector[Symbol.dispose]();
      return { kind: 'stopped' };
    }
    if (command.request.groups.includes('execution_stats')) this.#timer ??= this.#nextPoll();
    return { kind: 'sample', sample: this.#collector.collect(command.request) };
  }

  async terminate(): Promise<void> {}

  #nextPoll(): Timer {
    const poll = (): void => {
      this.#collector.poll();
      this.#timer = this.#nextPoll();
    };
    return this.#clock.setTimer(poll, POLL_INTERVAL_MS, { background: true });
  }
}

/** The worker thread as the main thread sees it. Every command gets at most one answer; commands do not overlap. */
export class WorkerLink implements ReaderLink {
  readonly #worker: Worker;
  #pending: PromiseWithResolvers<WorkerAnswer> | undefined;
  #end: AgentError | undefined;

  constructor(start: WorkerStart) {
    const { Worker: Thread } = process.getBuiltinModule('node:worker_threads');
    this.#worker = new Thread(workerFile(), { workerData: start, name: 'nds', resourceLimits: { maxOldGenerationSizeMb: 64 } });
    // A driver that never answers must not keep the agent alive.
    this.#worker.unref();
    this.#worker.on('message', (answer: WorkerAnswer) => {
      if (answer.kind === 'unusable') this.#end ??= new AgentError(answer.failure.code, 'nds', answer.failure.message);
      this.#settle(answer);
    });
    this.#worker.on('error', (thrown) => this.#finish(AgentError.from(thrown, 'internal', 'nds')));
    this.#worker.on('exit', () => this.#finish(new AgentError('internal', 'nds', 'the datastore reader has ended')));
  }

  get isBusy(): boolean {
    return this.#pending !== undefined;
  }

  get end(): AgentError | undefined {
    return this.#end;
  }

  ask(command: WorkerCommand): Promise<WorkerAnswer> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#pending = Promise.withResolvers<WorkerAnswer>();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread, not a window
    this.#worker.postMessage(command);
    return this.#pending.promise;
  }

  /** Does not come back while the thread is inside the driver. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(answer: WorkerAnswer): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(answer);
  }

  #finish(error: AgentError): void {
    this.#end ??= error;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(this.#end);
  }
}

/** Next to this file in the source tree, next to the bundle when bundled. */
function workerFile(): string {
  const folder = import.meta.dirname;
  const source = join(folder, 'worker.ts');
  return existsSync(source) ? source : join(folder, 'nds-worker.cjs');
}
