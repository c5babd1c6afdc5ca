import type { Clock } from '../../src/host.ts';
import type { DiskStore } from './disk-store.ts';
import type { OtlpRequest } from './record.ts';
import type { Extent, SegmentLog } from './segment-log.ts';

/** A request in the queue: in memory, on disk (then with its place there), or both. */
export interface QueueEntry {
  readonly request: OtlpRequest;
  extent?: Extent;
  /** Delivered or dropped. */
  isDone?: boolean;
}

export interface PersisterOptions {
  readonly store: DiskStore;
  readonly clock: Clock;
  readonly onTroubled: (thrown: unknown) => void;
  /** Everything there was to write is written. */
  readonly onCaughtUp: () => void;
  /** The folder was opened; it may hold what an earlier life left behind. */
  readonly onOpened: (log: SegmentLog) => void;
  /** The oldest entry without a place on disk. */
  readonly nextEntry: () => QueueEntry | undefined;
  readonly onWritten: (entry: QueueEntry) => void;
}

/** Requests that leave at once cost no fdatasync; those that wait are safe from a loss of power after this time. */
const SYNC_EVERY_MS = 1000;

/** Moves requests from memory to disk, one at a time and in order; after a failure, again when it is told to go on. */
export class Persister {
  readonly #options: PersisterOptions;
  #run: Promise<void> | undefined;
  #isWorking = false;
  #writing: QueueEntry | undefined;
  #syncedAtMs = 0;

  constructor(options: PersisterOptions) {
    this.#options = options;
  }

  /** False after a failure, until a write succeeds. */
  get isWorking(): boolean {
    return this.#isWorking;
  }

  get writing(): QueueEntry | undefined {
    return this.#writing;
  }

  /** The run under way. */
  get settled(): Promise<void> {
    return this.#run ?? Promise.resolve();
  }

  /** Writes whatever there is to write, unless that is under way already. */
  goOn(): void {
    this.#run ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      const log = await this.#openLog();
      if (log === undefined) return;
      for (let entry = this.#options.nextEntry(); entry !== undefined; entry = this.#options.nextEntry()) await this.#write(log, entry);
      this.#isWorking = true;
      this.#options.onCaughtUp();
    } catch (thrown) {
      this.#isWorking = false;
      this.#options.onTroubled(thrown);
    } finally {
      this.#run = undefined;
    }
  }

  async #openLog(): Promise<SegmentLog | undefined> {
    const { store } = this.#options;
    if (store.log === undefined) {
      const log = await store.open();
      if (log !== undefined) this.#options.onOpened(log);
      return log;
    }
    if (!this.#isWorking) await store.restoreDirectory();
    return store.log;
  }

  async #write(log: SegmentLog, entry: QueueEntry): Promise<void> {
    this.#writing = entry;
    try {
      entry.extent = await log.append(entry.request);
    } finally {
      this.#writing = undefined;
    }
    const { request, extent } = entry;
    this.#options.onWritten(entry);
    // Delivered from memory while it was being written.
    if (entry.isDone === true) await log.advance({ request, extent });
    else await this.#syncSometimes(log);
  }

  async #syncSometimes(log: SegmentLog): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#syncedAtMs < SYNC_EVERY_MS || log.isAlmostEmpty) return;
    this.#syncedAtMs = nowMs;
    await log.sync();
  }
}
