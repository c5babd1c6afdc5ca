import { join } from 'node:path';
import { Cursor } from './cursor.ts';
import type { Position } from './cursor.ts';
import type { QueueFileSystem } from './file-system.ts';
import { encodeHeader, recordBytes, summarizeFile } from './record.ts';
import type { OtlpRequest } from './record.ts';
import { closeSegment, newSegment, readRecord, readWhole, segmentNames, setAsidePath } from './segment.ts';
import type { Segment, SegmentName } from './segment.ts';

/** Where a record stands. */
export interface Extent extends Position {
  readonly end: number;
}

export interface StoredRequest {
  readonly request: OtlpRequest;
  readonly extent: Extent;
}

export interface SegmentLogObserver {
  /** Requests that will not be delivered; some of a damaged file may not be known. */
  lost(segment: number, requests: number, points: number, reason: 'corrupt' | 'queue_full'): void;
  /** Bytes that are no record were found and skipped. */
  damaged(file: string, places: number): void;
  /** Something that costs at most duplicates or disk space failed. */
  troubled(error: unknown): void;
}

export interface SegmentLogOptions {
  readonly directory: string;
  readonly maxBytes: number;
  readonly files: QueueFileSystem;
  readonly observer: SegmentLogObserver;
}

/** Small enough that dropping the oldest loses little and checking one is quick, large enough that files are few. */
const MAX_SEGMENT_BYTES = 2 * 1024 * 1024;
const MAX_SET_ASIDE_FILES = 4;

/**
 * Requests in append-only files, delivered and removed from the front. Every method but `open` is called by one owner that does
 * not overlap `append` with `append`, nor `peek` and `advance` with each other.
 */
export class SegmentLog {
  readonly #options: SegmentLogOptions;
  readonly #segmentBytes: number;
  readonly #cursor: Cursor;
  /** Oldest first; only the last one is written to. */
  readonly #segments: Segment[] = [];
  /** Where the oldest undelivered record begins in the first segment. */
  #offset = 0;
  #nextNumber = 1;
  #bytes = 0;

  private constructor(options: SegmentLogOptions, cursor: Cursor) {
    this.#options = options;
    this.#segmentBytes = Math.min(MAX_SEGMENT_BYTES, Math.floor(options.maxBytes / 4));
    this.#cursor = cursor;
  }

  /** Reads what an earlier life left behind. Rejects when the folder cannot be used. */
  static async open(options: SegmentLogOptions): Promise<SegmentLog> {
    const { directory, files } = options;
    const { cursor, position } = await Cursor.open(files, join(directory, 'cursor'));
    const log = new SegmentLog(options, cursor);
    // A number that was delivered once must not come back: the cursor would take its records for delivered.
    log.#nextNumber = (position?.segment ?? 0) + 1;
    try {
      for (const name of segmentNames(await files.list(directory))) await log.#recover(name, position);
    } catch (thrown) {
      await log.close();
      throw thrown;
    }
    return log;
  }

  /** Of all files together. */
  get bytes(): number {
    return this.#bytes;
  }

  get waiting(): { readonly requests: number; readonly points: number } {
    return this.#segments.reduce((sum, { requests, points }) => ({ requests: sum.requests + requests, points: sum.points + points }), {
      requests: 0,
      points: 0,
    });
  }

  get isEmpty(): boolean {
    const [head] = this.#segments;
    return head === undefined || (this.#segments.length === 1 && this.#offset >= head.size);
  }

  /** At most one request waits: it is probably on its way. */
  get isAlmostEmpty(): boolean {
    return this.#segments.length <= 1 && (this.#segments[0]?.requests ?? 0) <= 1;
  }

  /** True when no record stands before this one. */
  isHead({ segment, offset }: Position): boolean {
    const [head] = this.#segments;
    return head === undefined || segment < head.number || (segment === head.number && offset <= this.#offset);
  }

  /** Rejects with the operating system's error; the file is then as it was before, or not written to again. */
  async append(request: OtlpRequest): Promise<Extent> {
    const size = recordBytes(request);
    const segment = await this.#writable(size);
    await this.#makeRoom(size);
    const start = segment.size;
    try {
      await segment.writer?.write([encodeHeader(request), request.body], start);
    } catch (thrown) {
      await this.#abandon(segment);
      throw thrown;
    }
    segment.size += size;
    segment.requests += 1;
    segment.points += request.points;
    this.#bytes += size;
    return { segment: segment.number, offset: start, end: start + size };
  }

  /** The oldest undelivered request; skips and counts what is damaged. */
  async peek(): Promise<StoredRequest | undefined> {
    for (;;) {
      const [head] = this.#segments;
      if (head === undefined || this.isEmpty) return undefined;
      if (this.#offset >= head.size) {
        await this.#finish(head);
        continue;
      }
      const found = await readRecord(head, this.#options.files, this.#offset);
      if (head !== this.#segments[0]) {
        // The file was dropped for room while it was read.
        await this.#attempt(() => closeSegment(head));
        continue;
      }
      if (found?.start !== this.#offset) this.#damage(head, 1);
      this.#offset = found?.start ?? head.size;
      if (found !== undefined) return { request: found.request, extent: { segment: head.number, offset: found.start, end: found.end } };
      // Nothing more is written to a file that ends in damage.
      if (head.writer !== undefined) await this.#seal(head);
      await this.#finish(head);
    }
  }

  /** Takes a delivered request off the front; what stood before it is gone too. */
  async advance({ request, extent }: StoredRequest): Promise<void> {
    for (const segment of this.#segments.filter(({ number }) => number < extent.segment)) await this.#finish(segment);
    const [head] = this.#segments;
    if (head?.number !== extent.segment) return;
    head.requests -= 1;
    head.points -= request.points;
    this.#offset = extent.end;
    await this.#attempt(() => this.#cursor.save({ segment: head.number, offset: extent.end }));
    if (this.#segments.length > 1 && this.#offset >= head.size) await this.#finish(head);
  }

  /** Gives up what the oldest file still holds, and sets it aside. */
  async skipHead(): Promise<void> {
    const [head] = this.#segments;
    if (head === undefined) return;
    this.#damage(head, 1);
    await this.#finish(head);
  }

  /** Asks the disk to keep what was written through a loss of power. */
  async sync(): Promise<void> {
    await this.#segments.at(-1)?.writer?.sync();
  }

  async close(): Promise<void> {
    if (this.isEmpty) for (const segment of this.#segments.splice(0)) await this.#discard(segment);
    for (const segment of this.#segments) await this.#attempt(() => closeSegment(segment));
    await this.#attempt(() => this.#cursor.close());
  }

  async #recover({ number, isSetAside }: SegmentName, delivered: Position | undefined): Promise<void> {
    this.#nextNumber = Math.max(this.#nextNumber, number + 1);
    if (isSetAside) return;
    const segment = newSegment(this.#options.directory, number);
    const from = delivered?.segment === number ? delivered.offset : 0;
    const isDelivered = delivered !== undefined && number < delivered.segment;
    const bytes = isDelivered ? Buffer.alloc(0) : await readWhole(this.#options.files, segment.path);
    const { requests, points, damages, isTorn, end } = summarizeFile(bytes, from);
    if (damages > 0) this.#damage(segment, damages);
    // Torn by a crash, the record was never whole: nothing to look at.
    if (isTorn) this.#options.observer.damaged(segment.path, 1);
    if (requests === 0) return this.#discard(segment);
    Object.assign(segment, { size: end, requests, points });
    if (this.#segments.length === 0) this.#offset = from;
    this.#segments.push(segment);
    this.#bytes += segment.size;
  }

  async #writable(size: number): Promise<Segment> {
    const last = this.#segments.at(-1);
    if (last?.writer !== undefined && (last.size === 0 || last.size + size <= this.#segmentBytes)) return last;
    const segment = newSegment(this.#options.directory, this.#nextNumber++);
    segment.writer = await this.#options.files.open(segment.path, 'create');
    this.#segments.push(segment);
    if (last?.writer !== undefined) await this.#seal(last);
    if (last !== undefined && last === this.#segments[0] && this.#offset >= last.size) await this.#finish(last);
    return segment;
  }

  async #makeRoom(size: number): Promise<void> {
    while (this.#segments.length > 1 && this.#bytes + size > this.#options.maxBytes) {
      const [head] = this.#segments;
      if (head === undefined) return;
      await this.#finish(head, 'queue_full');
    }
  }

  async #seal(segment: Segment): Promise<void> {
    const { writer } = segment;
    delete segment.writer;
    await this.#attempt(() => writer?.close());
  }

  /** A file that could not be written to: what a failed write left behind is cut off, and no more is written. */
  async #abandon(segment: Segment): Promise<void> {
    await this.#attempt(() => segment.writer?.truncate(segment.size));
    await this.#seal(segment);
    if (segment.size === 0) await this.#finish(segment);
  }

  /** A segment leaves the queue; what it still held is lost. */
  async #finish(segment: Segment, reason: 'corrupt' | 'queue_full' = 'corrupt'): Promise<void> {
    const index = this.#segments.indexOf(segment);
    if (index < 0) return;
    this.#segments.splice(index, 1);
    if (index === 0) this.#offset = 0;
    this.#bytes -= segment.size;
    if (segment.requests > 0) this.#options.observer.lost(segment.number, segment.requests, segment.points, reason);
    await this.#discard(segment);
  }

  /** Damage found when a file was opened is not counted again when it is read. */
  #damage(segment: Segment, places: number): void {
    if (!segment.isDamaged) this.#options.observer.damaged(segment.path, places);
    segment.isDamaged = true;
  }

  /** Removes a file, or sets it aside for people to look at. */
  async #discard(segment: Segment): Promise<void> {
    const { files, directory } = this.#options;
    await this.#attempt(() => closeSegment(segment));
    if (!segment.isDamaged) return this.#attempt(() => files.remove(segment.path));
    await this.#attempt(() => files.rename(segment.path, setAsidePath(segment)));
    await this.#attempt(async () => {
      const setAside = segmentNames(await files.list(directory)).filter(({ isSetAside }) => isSetAside);
      for (const { name } of setAside.slice(0, -MAX_SET_ASIDE_FILES)) await files.remove(join(directory, name));
    });
  }

  async #attempt(work: () => Promise<void> | undefined): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#options.observer.troubled(thrown);
    }
  }
}
