import type { BatchSize } from './batch-limit.ts';
import type { DeliveryRequest, RequestFileName } from './request.ts';

export interface QueueLimits {
  /** Folder of this destination alone, mode 0700; memory only when null. */
  readonly directory: string | null;
  /** Bytes on disk at most; the oldest request goes first. */
  readonly max_bytes: number;
  /** Bytes in memory at most: all there is without a directory, the reserve while the disk fails. */
  readonly max_memory_bytes: number;
  /** Requests older than this many milliseconds are dropped. */
  readonly max_age: number;
}

/** How much may be taken at once. The first request is always taken, however large it is. */
export interface TakeLimit extends BatchSize {
  readonly maxRequests: number;
}

/** A file of the queue, and how many entries are left of what it holds. */
export interface StoredFile extends RequestFileName {
  users: number;
}

/** One request in the queue. */
export interface Entry {
  readonly points: number;
  readonly rawBytes: number;
  readonly enqueuedAtMs: number;
  /** Absent while the request is on disk only. */
  request?: DeliveryRequest;
  /** Absent while the request is in memory only. */
  file?: StoredFile;
  isTaken?: boolean;
  isGone?: boolean;
}

/** The oldest requests of a queue, all of one content type, until they are done or put back. */
export interface TakenRequests {
  readonly requests: readonly DeliveryRequest[];
  readonly points: number;
  readonly entries: readonly Entry[];
}

/** Requests that are on disk anyway stay in memory up to here, so that a healthy queue is never read back. */
const CACHE_BYTES = 4 * 1024 * 1024;

/** The list of a queue's requests, oldest first, with its sums. */
export class QueueEntries {
  #list: Entry[] = [];
  #points = 0;
  #memoryBytes = 0;
  #diskBytes = 0;
  #cachedBytes = 0;

  get all(): readonly Entry[] {
    return this.#list;
  }

  get points(): number {
    return this.#points;
  }

  /** Bytes of requests that are in memory only. */
  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  get diskBytes(): number {
    return this.#diskBytes;
  }

  add(request: DeliveryRequest): Entry {
    const entry = entryOf(request);
    this.#list.push(entry);
    this.#count(entry);
    return entry;
  }

  /** Puts requests that were found on disk in front: they are older than all others. */
  addOlder(files: readonly RequestFileName[]): void {
    const older = files.map((file): Entry => ({ ...file, file: { ...file, users: 1 } }));
    this.#list = [...older, ...this.#list];
    for (const { points, file } of older) {
      this.#points += points;
      this.#diskBytes += file?.bytes ?? 0;
    }
  }

  /** Puts smaller requests in front of the one that they are made of; they share its file. */
  addParts(whole: Entry, parts: readonly Omit<DeliveryRequest, 'enqueuedAtMs'>[]): void {
    const { file, enqueuedAtMs } = whole;
    const entries = parts.map((part) => entryOf({ ...part, enqueuedAtMs }, file));
    if (file !== undefined) file.users += entries.length;
    for (const entry of entries) this.#count(entry);
    this.#list.splice(this.#list.indexOf(whole), 0, ...entries);
  }

  /** The oldest entries that fit together, at least one if there is any. */
  head({ maxRequests, max_points: maxPoints, max_bytes: maxBytes }: TakeLimit): readonly Entry[] {
    let points = 0;
    let bytes = 0;
    const end = this.#list.findIndex((entry, index) => {
      points += entry.points;
      bytes += entry.rawBytes;
      return index > 0 && (index >= maxRequests || points > maxPoints || bytes > maxBytes);
    });
    return end < 0 ? [...this.#list] : this.#list.slice(0, end);
  }

  /** The oldest entry that is in memory only. */
  get unwritten(): Entry | undefined {
    return this.#list.find(({ file }) => file === undefined);
  }

  /** An entry was written to disk. With a backlog its body leaves memory, because the older ones are needed first. */
  written(entry: Entry, file: RequestFileName): void {
    const bytes = bodyBytes(entry);
    entry.file = { ...file, users: 1 };
    this.#memoryBytes -= bytes;
    this.#diskBytes += file.bytes;
    if (this.#cachedBytes + bytes > CACHE_BYTES && entry.isTaken !== true) delete entry.request;
    else this.#cachedBytes += bytes;
  }

  /** The file of an entry is not there any more. Returns false when memory does not have the request either: then the entry is gone. */
  fileVanished(entry: Entry): boolean {
    const { file } = entry;
    if (entry.request === undefined || file === undefined) {
      this.remove(entry);
      return false;
    }
    this.#cachedBytes -= bodyBytes(entry);
    this.#memoryBytes += bodyBytes(entry);
    file.users -= 1;
    if (file.users === 0) this.#diskBytes -= file.bytes;
    delete entry.file;
    return true;
  }

  /** Takes an entry off the list. Returns its file when that is of no more use. */
  remove(entry: Entry): StoredFile | undefined {
    if (entry.isGone === true) return undefined;
    entry.isGone = true;
    this.#list.splice(this.#list.indexOf(entry), 1);
    this.#points -= entry.points;
    const { file } = entry;
    if (file === undefined) {
      this.#memoryBytes -= bodyBytes(entry);
      return undefined;
    }
    this.#cachedBytes -= bodyBytes(entry);
    file.users -= 1;
    if (file.users > 0) return undefined;
    this.#diskBytes -= file.bytes;
    return file;
  }

  #count(entry: Entry): void {
    this.#points += entry.points;
    if (entry.file === undefined) this.#memoryBytes += bodyBytes(entry);
    else this.#cachedBytes += bodyBytes(entry);
  }
}

function entryOf(request: DeliveryRequest, file?: StoredFile): Entry {
  const { points, rawBytes, enqueuedAtMs } = request;
  return { points, rawBytes, enqueuedAtMs, request, ...(file === undefined ? {} : { file }) };
}

function bodyBytes({ request }: Entry): number {
  return request?.body.length ?? 0;
}
