import { AgentError } from '../../src/errors.ts';
import type { Clock } from '../../src/host.ts';
import type { QueueFileSystem } from './file-system.ts';
import { lockDirectory } from './lock.ts';
import type { DirectoryLock } from './lock.ts';
import { SegmentLog } from './segment-log.ts';
import type { SegmentLogObserver } from './segment-log.ts';

export interface DiskStoreOptions {
  readonly directory: string;
  readonly maxBytes: number;
  readonly files: QueueFileSystem;
  readonly clock: Clock;
  readonly observer: SegmentLogObserver;
}

const REOPEN_AFTER_MS = 1000;

/** The queue's folder: made, locked and opened when it is first needed, and tried again while that fails. */
export class DiskStore {
  readonly #options: DiskStoreOptions;
  #lock: DirectoryLock | undefined;
  #log: SegmentLog | undefined;
  #triedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: DiskStoreOptions) {
    this.#options = options;
  }

  /** Undefined until the folder could be opened. */
  get log(): SegmentLog | undefined {
    return this.#log;
  }

  /** Opens the folder; undefined when the last attempt was a moment ago. Rejects when it fails. Never called while it runs. */
  async open(): Promise<SegmentLog | undefined> {
    const { directory, files, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#triedAtMs < REOPEN_AFTER_MS) return undefined;
    this.#triedAtMs = nowMs;
    await files.makeDirectory(directory);
    this.#lock ??= await lockDirectory(directory);
    if (this.#lock === undefined) throw new AgentError('export_retryable', 'otlp', 'queue folder belongs to another process');
    this.#log = await SegmentLog.open(this.#options);
    return this.#log;
  }

  /** Makes the folder again, for when somebody removed it. */
  async restoreDirectory(): Promise<void> {
    await this.#options.files.makeDirectory(this.#options.directory);
  }

  async close(): Promise<void> {
    await this.#log?.close();
    await this.#lock?.[Symbol.asyncDispose]();
    this.#log = undefined;
    this.#lock = undefined;
  }
}
