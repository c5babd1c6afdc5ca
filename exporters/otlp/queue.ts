import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import { DiskStore } from './disk-store.ts';
import { nodeFileSystem } from './file-system.ts';
import type { QueueFileSystem } from './file-system.ts';
import type { OtlpSettings } from './settings.ts';
import { Persister } from './persister.ts';
import type { QueueEntry } from './persister.ts';
import { recordBytes } from './record.ts';
import type { OtlpRequest } from './record.ts';
import type { SegmentLog, SegmentLogObserver } from './segment-log.ts';
import type { DropReason, OtlpQueueState, OtlpTelemetry } from './telemetry.ts';

export interface RequestQueueOptions {
  readonly limits: OtlpSettings['queue'];
  readonly clock: Clock;
  readonly telemetry: OtlpTelemetry;
  readonly files?: QueueFileSystem;
  /** Called after a request was added, and when requests of an earlier life were found. */
  readonly onAdded: () => void;
}

/** Requests that are on disk anyway stay in memory up to here, so that a healthy queue is never read back. */
const CACHE_BYTES = 4 * 1024 * 1024;
/** Delivery does not wait longer for a folder that hangs. */
const OPENING_TIMEOUT_MS = 5000;
/** Nor does collection. */
const WRITING_TIMEOUT_MS = 1000;
const CLOSING_TIMEOUT_MS = 2000;
const MAX_READ_FAILURES = 5;
/** These say nothing about the file. */
const OUT_OF_RESOURCES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/**
 * Requests of one destination, first in, first out. With a folder every request is written there at once, and delivered from
 * memory while memory has it; when the folder fails, requests stay in memory within a bound and go to disk as soon as it works
 * again. Nothing here rejects: trouble goes to telemetry.
 */
export class RequestQueue {
  readonly #options: RequestQueueOptions;
  readonly #store: DiskStore | undefined;
  readonly #persister: Persister | undefined;
  readonly #anchor: { readonly wallMs: number; readonly monotonicMs: number };
  /** The newest requests, without a gap: first those with a place on disk, then those without. */
  #memory: QueueEntry[] = [];
  /** Bytes of the requests that are in memory only. */
  #memoryOnlyBytes = 0;
  /** Handed out and not done; it may be in memory no more. */
  #current: QueueEntry | undefined;
  #requests = 0;
  #points = 0;
  #readFailures = 0;
  /** Whether telemetry was told last that the folder works. */
  #isKnownToWork = false;
  #isClosed = false;

  constructor(options: RequestQueueOptions) {
    this.#options = options;
    const { clock, limits, files = nodeFileSystem } = options;
    this.#anchor = { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
    if (limits.directory === null) return;
    const store = new DiskStore({ directory: limits.directory, maxBytes: limits.max_bytes, files, clock, observer: this.#observer() });
    this.#store = store;
    this.#persister = new Persister({
      store,
      clock,
      onTroubled: (thrown) => this.#troubled(thrown),
      onCaughtUp: () => this.#caughtUp(),
      onOpened: (log) => this.#welcome(log),
      nextEntry: () => this.#memory.find(({ extent }) => extent === undefined),
      onWritten: (entry) => this.#written(entry),
    });
    this.#persister.goOn();
  }

  get state(): OtlpQueueState {
    const { limits } = this.#options;
    const oldest = this.#current ?? this.#memory[0];
    return {
      points: this.#points,
      requests: this.#requests,
      bytes: (this.#store?.log?.bytes ?? 0) + this.#memoryOnlyBytes,
      capacityBytes: this.#store === undefined ? limits.max_memory_bytes : limits.max_bytes,
      oldestAgeMs: oldest === undefined ? 0 : this.#ageMs(oldest.request),
      isDurable: this.#persister?.isWorking ?? false,
    };
  }

  /**
   * Takes a request in, before the first await; the oldest ones give way when there is no room. Settles when it is on disk, or
   * is not going there for now.
   */
  async add(request: Omit<OtlpRequest, 'enqueuedAtMs'>): Promise<void> {
    const entry: QueueEntry = { request: { ...request, enqueuedAtMs: this.#nowMs() } };
    this.#requests += 1;
    this.#points += request.points;
    this.#memory.push(entry);
    this.#memoryOnlyBytes += recordBytes(entry.request);
    if (this.#isClosed) {
      this.#drop(entry, 'shutdown');
      return;
    }
    this.#dropOverflow();
    this.#persister?.goOn();
    this.#options.onAdded();
    if (this.#persister !== undefined) await withDeadline(this.#options.clock, this.#settled, WRITING_TIMEOUT_MS);
  }

  /** The oldest request, the same one until it is done; undefined when there is none, or none can be read at the moment. */
  async next(): Promise<QueueEntry | undefined> {
    for (;;) {
      const entry = (this.#current ??= await this.#head());
      if (entry === undefined || this.#ageMs(entry.request) <= this.#options.limits.max_age) return entry;
      const removed = this.done(entry);
      this.#options.telemetry.dropped(entry.request.points, 'expired');
      await removed;
    }
  }

  /** The request that `next` gave was delivered or refused for good; the caller counts which. */
  async done(entry: QueueEntry): Promise<void> {
    if (this.#current === entry) this.#current = undefined;
    this.#remove(entry);
    const { request, extent } = entry;
    if (extent !== undefined) await this.#store?.log?.advance({ request, extent });
  }

  /** Writes to disk what is not there yet, and leaves the folder to the next process. What is in memory only is lost. */
  async close(): Promise<void> {
    await withDeadline(this.#options.clock, this.#settled, CLOSING_TIMEOUT_MS);
    this.#persister?.goOn();
    await withDeadline(this.#options.clock, this.#settled, CLOSING_TIMEOUT_MS);
    this.#isClosed = true;
    for (const entry of this.#memory.filter(({ extent }) => extent === undefined)) this.#drop(entry, 'shutdown');
    await withDeadline(this.#options.clock, this.#closeStore(), CLOSING_TIMEOUT_MS);
  }

  async #closeStore(): Promise<void> {
    try {
      await this.#store?.log?.sync();
      await this.#store?.close();
    } catch (thrown) {
      this.#troubled(thrown);
    }
  }

  get #settled(): Promise<void> {
    return this.#persister?.settled ?? Promise.resolve();
  }

  /** Wall time that does not jump while the process lives, and can be compared with that of other lives. */
  #nowMs(): number {
    return this.#anchor.wallMs + this.#options.clock.monotonicMs() - this.#anchor.monotonicMs;
  }

  #ageMs(request: OtlpRequest): number {
    return Math.max(0, this.#nowMs() - request.enqueuedAtMs);
  }

  async #head(): Promise<QueueEntry | undefined> {
    // What an earlier life left behind comes first.
    if (this.#store !== undefined && this.#store.log === undefined) {
      await withDeadline(this.#options.clock, this.#settled, OPENING_TIMEOUT_MS);
    }
    const log = this.#store?.log;
    const [first] = this.#memory;
    if (log === undefined || isAhead(first, log)) return first;
    try {
      const stored = await log.peek();
      this.#readFailures = 0;
      return stored ?? this.#memory[0];
    } catch (thrown) {
      await this.#readFailed(log, thrown);
      return undefined;
    }
  }

  /** A file that stays unreadable must not hold up what comes after it for ever. */
  async #readFailed(log: SegmentLog, thrown: unknown): Promise<void> {
    this.#troubled(thrown);
    if (OUT_OF_RESOURCES.has(errnoName(thrown))) return;
    this.#readFailures += 1;
    if (this.#readFailures < MAX_READ_FAILURES) return;
    this.#readFailures = 0;
    await log.skipHead();
  }

  #remove(entry: QueueEntry): void {
    entry.isDone = true;
    this.#requests -= 1;
    this.#points -= entry.request.points;
    const index = this.#memory.indexOf(entry);
    if (index < 0) return;
    this.#memory.splice(index, 1);
    if (entry.extent === undefined) this.#memoryOnlyBytes -= recordBytes(entry.request);
  }

  #drop(entry: QueueEntry, reason: DropReason): void {
    this.#remove(entry);
    this.#options.telemetry.dropped(entry.request.points, reason);
  }

  /** The newest request always stays, and so do the one being sent and the one being written. */
  #dropOverflow(): void {
    while (this.#memoryOnlyBytes > this.#options.limits.max_memory_bytes) {
      const kept = [this.#current, this.#persister?.writing, this.#memory.at(-1)];
      const oldest = this.#memory.find((entry) => entry.extent === undefined && !kept.includes(entry));
      if (oldest === undefined) return;
      this.#drop(oldest, 'queue_full');
    }
  }

  #written(entry: QueueEntry): void {
    if (entry.isDone !== true) this.#memoryOnlyBytes -= recordBytes(entry.request);
    const written = this.#memory.filter(({ extent }) => extent !== undefined);
    const bytes = written.reduce((sum, { request }) => sum + recordBytes(request), 0);
    const [first] = written;
    const log = this.#store?.log;
    // With a backlog on disk, what is in memory is needed last.
    if (first === undefined || log === undefined || (bytes <= CACHE_BYTES && isAhead(first, log))) return;
    this.#memory = this.#memory.slice(written.length);
  }

  #welcome({ waiting }: SegmentLog): void {
    this.#requests += waiting.requests;
    this.#points += waiting.points;
    this.#options.telemetry.recovered(waiting.points);
    if (waiting.requests > 0) this.#options.onAdded();
  }

  #troubled(thrown: unknown): void {
    this.#isKnownToWork = false;
    this.#options.telemetry.queueTroubled(AgentError.from(thrown, 'export_retryable', 'otlp'));
  }

  #caughtUp(): void {
    if (!this.#isKnownToWork) this.#options.telemetry.queueDurable();
    this.#isKnownToWork = true;
  }

  #observer(): SegmentLogObserver {
    const { telemetry } = this.#options;
    return {
      lost: (segment, requests, points, reason) => this.#lost(segment, requests, points, reason),
      damaged: (_file, places) => telemetry.queueDamaged(places),
      troubled: (thrown) => this.#troubled(thrown),
    };
  }

  /** A file is gone with what it held. The request being sent is still in our hands: its fate is not decided yet. */
  #lost(segment: number, requests: number, points: number, reason: 'corrupt' | 'queue_full'): void {
    this.#memory = this.#memory.filter(({ extent }) => extent?.segment !== segment);
    const isSending = this.#current?.extent?.segment === segment;
    const sendingPoints = isSending ? (this.#current?.request.points ?? 0) : 0;
    if (isSending) delete this.#current?.extent;
    this.#requests -= requests - (isSending ? 1 : 0);
    this.#points -= points - sendingPoints;
    this.#options.telemetry.dropped(points - sendingPoints, reason);
  }
}

/** True when no request on disk is older than this one. */
function isAhead(first: QueueEntry | undefined, log: SegmentLog): boolean {
  if (first === undefined) return false;
  return first.extent === undefined ? log.isEmpty : log.isHead(first.extent);
}
