import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import type { DeliveryEvents, DropReason, QueueState } from './events.ts';
import { nodeFileSystem } from './file-system.ts';
import type { QueueFileSystem } from './file-system.ts';
import { QueueEntries } from './queue-entries.ts';
import type { Entry, QueueLimits, TakeLimit, TakenRequests } from './queue-entries.ts';
import { QueueFolder } from './queue-folder.ts';
import type { DeliveryRequest, RequestFileName } from './request.ts';

export interface RequestQueueOptions {
  readonly limits: QueueLimits;
  readonly clock: Clock;
  readonly events: DeliveryEvents;
  readonly files?: QueueFileSystem;
  /** Called after a request was added, and when requests of an earlier process were found. */
  readonly onAdded: () => void;
}

/** Delivery waits no longer for a folder that hangs, nor does collection for the disk. */
const OPENING_TIMEOUT_MS = 5000;
const WRITING_TIMEOUT_MS = 1000;
const CLOSING_TIMEOUT_MS = 2000;
const REOPEN_AFTER_MS = 1000;
const FOLDER_IS_GONE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'ESTALE']);

/**
 * The requests of one destination, first in, first out. With a folder each request is written there at once, as a file of its own, and
 * delivered from memory while memory has it. No function rejects: trouble goes to the events.
 *
 * ```
 * add ──▶ IN MEMORY ──written──▶ IN MEMORY AND ON DISK ──more than 4 MiB──▶ ON DISK ◀──found when the folder opens
 *             ▲                          │                                    ├──damaged──▶ set aside, dropped (corrupt)
 *             └──────folder removed──────┘                                    └──file removed by others──▶ dropped (removed)
 *
 * from each of the three:
 *   ──no room, too old──▶ dropped (queue_full, expired), file unlinked
 *   ──take──▶ TAKEN ──done──▶ file unlinked
 *               ├──putBack──▶ where it was
 *               └──replace──▶ its parts, IN MEMORY; the file stays until the last part is done
 * ```
 * A queue whose folder opens late puts what it finds there in front: those requests are older. A request that is taken is never dropped.
 */
export class RequestQueue {
  readonly #options: RequestQueueOptions;
  readonly #files: QueueFileSystem;
  readonly #startedAt: { readonly wallMs: number; readonly monotonicMs: number };
  readonly #entries = new QueueEntries();
  #folder: QueueFolder | undefined;
  #reopenAtMs = Number.NEGATIVE_INFINITY;
  #writing: Entry | undefined;
  #run: Promise<void> | undefined;
  #isDurable = false;
  #isClosed = false;

  constructor(options: RequestQueueOptions) {
    this.#options = options;
    this.#files = options.files ?? nodeFileSystem;
    this.#startedAt = { wallMs: options.clock.nowMs(), monotonicMs: options.clock.monotonicMs() };
    this.#goOn();
  }

  get state(): QueueState {
    const { directory, max_bytes: maxBytes, max_memory_bytes: maxMemoryBytes } = this.#options.limits;
    const { all, points, diskBytes, memoryBytes } = this.#entries;
    const [oldest] = all;
    return {
      points,
      requests: all.length,
      bytes: diskBytes + memoryBytes,
      capacityBytes: directory === null ? maxMemoryBytes : maxBytes,
      oldestAgeMs: oldest === undefined ? 0 : this.#ageMs(oldest),
      isDurable: this.#isDurable,
    };
  }

  /**
   * Takes a request over before the first await; the oldest ones give way when there is no room. Settles when the request is on disk, or
   * is not going there for now.
   */
  async add(request: Omit<DeliveryRequest, 'enqueuedAtMs'>): Promise<void> {
    const entry = this.#entries.add({ ...request, enqueuedAtMs: this.#nowMs() });
    if (this.#isClosed) {
      await this.#drop(entry, 'shutdown');
      return;
    }
    this.#dropMemoryOverflow();
    this.#goOn();
    this.#options.onAdded();
    while (this.#run !== undefined && entry.file === undefined && entry.isGone !== true)
      if (!(await withDeadline(this.#options.clock, this.#run, WRITING_TIMEOUT_MS))) return;
  }

  /** Takes the oldest requests that fit together; undefined when there are none, or the oldest cannot be read at the moment. */
  async take(limit: TakeLimit): Promise<TakenRequests | undefined> {
    // Requests of an earlier process come first.
    if (this.#run !== undefined && this.#folder === undefined) await withDeadline(this.#options.clock, this.#run, OPENING_TIMEOUT_MS);
    for (;;) {
      await this.#dropExpired();
      const entries = this.#entries.head(limit);
      if (entries.length === 0) return undefined;
      const { taken, isUnreadable } = await this.#load(entries);
      if (taken.requests.length > 0) return taken;
      if (isUnreadable) return undefined;
    }
  }

  /** Forgets requests that were delivered or refused for good; the caller counts which. */
  async done({ entries }: TakenRequests): Promise<void> {
    await Promise.all(entries.map((entry) => this.#remove(entry)));
  }

  /** Leaves requests in the queue for another attempt. */
  putBack({ entries }: Pick<TakenRequests, 'entries'>): void {
    for (const entry of entries) entry.isTaken = false;
  }

  /** Puts smaller requests into the place of one. Its file stays until the last of them is done. */
  async replace({ entries: [whole] }: TakenRequests, parts: readonly Omit<DeliveryRequest, 'enqueuedAtMs'>[]): Promise<void> {
    if (whole === undefined || whole.isGone === true) return;
    this.#entries.addParts(whole, parts);
    await this.#remove(whole);
    this.#goOn();
  }

  /** Writes to disk what is not there yet, and leaves the folder to the next process. What is in memory only is lost. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    if (this.#run !== undefined) await withDeadline(clock, this.#run, CLOSING_TIMEOUT_MS);
    this.#goOn();
    if (this.#run !== undefined) await withDeadline(clock, this.#run, CLOSING_TIMEOUT_MS);
    this.#isClosed = true;
    for (const entry of this.#entries.all.filter(({ file }) => file === undefined)) void this.#drop(entry, 'shutdown');
    await withDeadline(clock, this.#leaveFolder(), CLOSING_TIMEOUT_MS);
  }

  /** Wall time that does not jump while the process runs, and can be compared with that of other processes. */
  #nowMs(): number {
    return this.#startedAt.wallMs + this.#options.clock.monotonicMs() - this.#startedAt.monotonicMs;
  }

  #ageMs({ enqueuedAtMs }: Entry): number {
    return Math.max(0, this.#nowMs() - enqueuedAtMs);
  }

  // Taking

  async #dropExpired(): Promise<void> {
    for (;;) {
      const [oldest] = this.#entries.all;
      if (oldest === undefined || this.#ageMs(oldest) <= this.#options.limits.max_age) return;
      await this.#drop(oldest, 'expired');
    }
  }

  async #load(entries: readonly Entry[]): Promise<{ readonly taken: TakenRequests; readonly isUnreadable: boolean }> {
    for (const entry of entries) entry.isTaken = true;
    const loaded: { readonly entry: Entry; readonly request: DeliveryRequest }[] = [];
    let isUnreadable = false;
    for (const entry of entries) {
      const request = entry.request ?? (await this.#read(entry));
      isUnreadable = request === undefined && entry.isGone !== true;
      if (isUnreadable || (request !== undefined && request.contentType !== (loaded[0]?.request ?? request).contentType)) break;
      if (request !== undefined) loaded.push({ entry, request });
    }
    const kept = loaded.map(({ entry }) => entry);
    this.putBack({ entries: entries.filter((entry) => !kept.includes(entry)) });
    const points = kept.reduce((sum, entry) => sum + entry.points, 0);
    return { taken: { requests: loaded.map(({ request }) => request), points, entries: kept }, isUnreadable };
  }

  /** Undefined when the file is lost (then the entry is gone), or cannot be read at the moment. */
  async #read(entry: Entry): Promise<DeliveryRequest | undefined> {
    const { file } = entry;
    const folder = this.#folder;
    if (file === undefined || folder === undefined) return undefined;
    const result = await folder.read(file);
    if (result.kind === 'read') return result.request;
    if (result.kind === 'unreadable') this.#failed(result.error);
    else await this.#lose(entry, result.kind, folder);
    return undefined;
  }

  async #lose(entry: Entry, what: 'damaged' | 'removed', folder: QueueFolder): Promise<void> {
    const file = this.#entries.remove(entry);
    this.#options.events.dropped(entry.points, what === 'damaged' ? 'corrupt' : 'removed');
    if (what === 'removed') return;
    this.#options.events.queueDamaged(1);
    if (file !== undefined) await this.#attempt(folder.setAside(file));
  }

  // Dropping

  async #remove(entry: Entry): Promise<void> {
    const file = this.#entries.remove(entry);
    if (file === undefined || this.#folder === undefined) return;
    await withDeadline(this.#options.clock, this.#attempt(this.#folder.remove(file)), WRITING_TIMEOUT_MS);
  }

  async #drop(entry: Entry, reason: DropReason): Promise<void> {
    const removed = this.#remove(entry);
    this.#options.events.dropped(entry.points, reason);
    await removed;
  }

  /** The newest request always stays, and so do the ones being sent and the one being written. */
  #dropMemoryOverflow(): void {
    while (this.#entries.memoryBytes > this.#options.limits.max_memory_bytes) {
      const newest = this.#entries.all.at(-1);
      const oldest = this.#entries.all.find(
        (entry) => entry.file === undefined && entry.isTaken !== true && entry !== this.#writing && entry !== newest,
      );
      if (oldest === undefined) return;
      void this.#drop(oldest, 'queue_full');
    }
  }

  async #dropDiskOverflow(size: number): Promise<void> {
    while (this.#entries.diskBytes + size > this.#options.limits.max_bytes) {
      const oldest = this.#entries.all.find((entry) => entry.file !== undefined && entry.isTaken !== true);
      if (oldest === undefined) return;
      await this.#drop(oldest, 'queue_full');
    }
  }

  // Writing

  /** Writes whatever there is to write, one request at a time and in order, unless that is under way already. */
  #goOn(): void {
    if (this.#options.limits.directory !== null && !this.#isClosed) this.#run ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    let isCaughtUp = false;
    try {
      isCaughtUp = await this.#writeEach().catch((thrown: unknown) => this.#writeIntoNewFolder(thrown));
    } catch (thrown) {
      this.#failed(thrown);
    }
    this.#run = undefined;
    // A request may have come between the last look and here.
    if (isCaughtUp && this.#entries.unwritten !== undefined) this.#goOn();
  }

  /** Somebody removed the folder: it is made again, and what memory still has is written again. */
  async #writeIntoNewFolder(thrown: unknown): Promise<boolean> {
    if (this.#folder === undefined || !FOLDER_IS_GONE.has(errnoName(thrown))) throw thrown;
    await this.#leaveFolder();
    return await this.#writeEach();
  }

  /** Returns false when the folder may not be tried at the moment. */
  async #writeEach(): Promise<boolean> {
    const folder = this.#folder ?? (await this.#openFolder());
    if (folder === undefined) return false;
    for (let entry = this.#entries.unwritten; entry !== undefined; entry = this.#entries.unwritten) await this.#write(entry, folder);
    if (!this.#isDurable) this.#options.events.queueDurable();
    this.#isDurable = true;
    return true;
  }

  /** Undefined when the last attempt was a moment ago. */
  async #openFolder(): Promise<QueueFolder | undefined> {
    const { clock, limits } = this.#options;
    if (limits.directory === null || clock.monotonicMs() < this.#reopenAtMs) return undefined;
    this.#reopenAtMs = clock.monotonicMs() + REOPEN_AFTER_MS;
    try {
      this.#folder = await QueueFolder.open({ directory: limits.directory, files: this.#files, clock });
    } catch (thrown) {
      this.#compareWith([]);
      throw thrown;
    }
    this.#reopenAtMs = Number.NEGATIVE_INFINITY;
    this.#compareWith(this.#folder.found);
    return this.#folder;
  }

  /** Brings the entries in line with the files that are there: usually all are new. */
  #compareWith(found: readonly RequestFileName[]): void {
    const names = new Set(found.map(({ name }) => name));
    for (const entry of this.#entries.all.filter(({ file }) => file !== undefined && !names.has(file.name))) {
      if (!this.#entries.fileVanished(entry)) this.#options.events.dropped(entry.points, 'removed');
    }
    const known = new Set(this.#entries.all.map(({ file }) => file?.name));
    const older = found.filter(({ name }) => !known.has(name));
    this.#entries.addOlder(older);
    this.#options.events.recovered(older.reduce((sum, { points }) => sum + points, 0));
    if (older.length > 0) this.#options.onAdded();
  }

  async #write(entry: Entry, folder: QueueFolder): Promise<void> {
    const { request } = entry;
    if (request === undefined) throw new Error('a request is neither in memory nor on disk');
    this.#writing = entry;
    try {
      await this.#dropDiskOverflow(request.body.length);
      const file = await folder.write(request);
      // Delivered or dropped while it was being written.
      if (entry.isGone === true) await this.#attempt(folder.remove(file));
      else this.#entries.written(entry, file);
    } finally {
      this.#writing = undefined;
    }
  }

  async #leaveFolder(): Promise<void> {
    const folder = this.#folder;
    this.#folder = undefined;
    if (folder !== undefined) await this.#attempt(folder.close());
  }

  async #attempt(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  #failed(thrown: unknown): void {
    this.#isDurable = false;
    this.#options.events.queueFailed(AgentError.from(thrown, 'export_retryable', 'delivery'));
  }
}
