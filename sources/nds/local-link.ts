import type { AgentError } from '../../src/errors.ts';
import type { Clock, Timer } from '../../src/host.ts';
import { DatastoreCollector } from './collector.ts';
import type { CollectorOptions } from './collector.ts';
import type { ReaderLink, WorkerAnswer, WorkerCommand } from './protocol.ts';

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
