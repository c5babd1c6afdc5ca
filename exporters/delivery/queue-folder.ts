import { join } from 'node:path';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Clock } from '../../src/host.ts';
import { MAX_BODY_BYTES } from './compression.ts';
import type { QueueFileSystem } from './file-system.ts';
import { lockDirectory } from './lock.ts';
import type { DirectoryLock } from './lock.ts';
import { decodeRequestFile, encodeRequestFile, parseRequestFileName } from './request.ts';
import type { DeliveryRequest, RequestFileName } from './request.ts';

const NUMBERED = /^(\d{12})\./;
const SET_ASIDE = /^\d{12}\..*\.corrupt$/;
const UNFINISHED = /^\d{12}\.unfinished$/;
const MAX_SET_ASIDE_FILES = 4;
const MAX_FILE_BYTES = MAX_BODY_BYTES + 1024;

/** Delivery waits no longer for a file that hangs. */
const READING_TIMEOUT_MS = 5000;
const MAX_READ_FAILURES = 5;
/** These errors are not the file's. */
const OUT_OF_RESOURCES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/** The result of reading a file back. */
export type ReadResult =
  | { readonly kind: 'read'; readonly request: DeliveryRequest }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'removed' }
  /** At the moment: the file may be readable later. */
  | { readonly kind: 'unreadable'; readonly error: unknown };

interface FolderOptions {
  readonly directory: string;
  readonly files: QueueFileSystem;
  readonly clock: Clock;
}

/** A queue's folder while this process has its lock: one file for each request. */
export class QueueFolder {
  /** Requests of earlier processes, oldest first. */
  readonly found: readonly RequestFileName[];
  readonly #directory: string;
  readonly #files: QueueFileSystem;
  readonly #lock: DirectoryLock;
  readonly #clock: Clock;
  #nextNumber: number;
  #readFailures = 0;

  private constructor(
    { directory, files, clock }: FolderOptions,
    lock: DirectoryLock,
    listing: Awaited<ReturnType<QueueFileSystem['list']>>,
  ) {
    this.#directory = directory;
    this.#files = files;
    this.#clock = clock;
    this.#lock = lock;
    // A name that somebody else gave to a folder or a FIFO is stepped over, too.
    this.#nextNumber = listing.reduce((next, { name }) => Math.max(next, 1 + Number(NUMBERED.exec(name)?.[1] ?? 0)), 1);
    this.found = listing
      .map(({ name, isFile }) => (isFile ? parseRequestFileName(name) : undefined))
      .filter((file) => file !== undefined)
      .toSorted((a, b) => a.number - b.number);
  }

  /** Makes the folder where there is none, locks and lists it. Rejects when it cannot be used. */
  static async open(options: FolderOptions): Promise<QueueFolder> {
    const { directory, files } = options;
    let lock: DirectoryLock | undefined;
    try {
      await files.makeDirectory(directory);
      lock = await lockDirectory(directory);
      if (lock === undefined) throw new Error('it belongs to another process; each agent and each exporter needs a folder of its own');
      const listing = await files.list(directory);
      // A process that was killed while it wrote leaves its unfinished file behind.
      for (const { name, isFile } of listing) if (isFile && UNFINISHED.test(name)) await files.remove(join(directory, name));
      return new QueueFolder(options, lock, listing);
    } catch (thrown) {
      await lock?.[Symbol.asyncDispose]();
      const remedy = errnoName(thrown) === undefined ? '' : '; it must be a folder that this user may write to, on a local file system';
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      throw new AgentError('export_retryable', 'delivery', `queue.directory ${directory} cannot be used: ${reason}${remedy}`);
    }
  }

  /** Writes a file beside, waits until the disk has it, and gives it its name. Rejects with the operating system's error. */
  async write(request: DeliveryRequest): Promise<RequestFileName> {
    // A failed attempt uses its number up: whatever was in the way is stepped over.
    const number = this.#nextNumber++;
    const { file, header } = encodeRequestFile(number, request);
    const unfinished = join(this.#directory, `${String(number).padStart(12, '0')}.unfinished`);
    await this.#files.write(unfinished, [header, request.body]);
    await this.#files.rename(unfinished, join(this.#directory, file.name));
    return file;
  }

  /** Reads a request back. A file that stays unreadable counts as damaged in the end: it must not hold up the others for ever. */
  async read(file: RequestFileName): Promise<ReadResult> {
    try {
      const request = await this.#readInTime(file);
      this.#readFailures = 0;
      return request === undefined ? { kind: 'damaged' } : { kind: 'read', request };
    } catch (error) {
      if (errnoName(error) === 'ENOENT') return { kind: 'removed' };
      if (!OUT_OF_RESOURCES.has(errnoName(error))) this.#readFailures += 1;
      if (this.#readFailures < MAX_READ_FAILURES) return { kind: 'unreadable', error };
      this.#readFailures = 0;
      return { kind: 'damaged' };
    }
  }

  async #readInTime(file: RequestFileName): Promise<DeliveryRequest | undefined> {
    let bytes: Buffer | undefined;
    const reading = this.#files.read(join(this.#directory, file.name), MAX_FILE_BYTES).then((read) => void (bytes = read));
    await withDeadline(this.#clock, reading, READING_TIMEOUT_MS);
    if (bytes === undefined) throw new Error(`queue file ${file.name} cannot be read within ${READING_TIMEOUT_MS} ms`);
    return decodeRequestFile(file, bytes);
  }

  async remove({ name }: RequestFileName): Promise<void> {
    try {
      await this.#files.remove(join(this.#directory, name));
    } catch (thrown) {
      if (errnoName(thrown) !== 'ENOENT') throw thrown;
    }
  }

  /** Keeps a damaged file for people to look at; the newest few of them stay. */
  async setAside({ name }: RequestFileName): Promise<void> {
    await this.#files.rename(join(this.#directory, name), join(this.#directory, `${name}.corrupt`));
    const entries = await this.#files.list(this.#directory);
    const setAside = entries.filter((one) => one.isFile && SET_ASIDE.test(one.name)).map((one) => one.name);
    for (const old of setAside.toSorted().slice(0, -MAX_SET_ASIDE_FILES)) await this.#files.remove(join(this.#directory, old));
  }

  /** Leaves the folder to the next process. */
  async close(): Promise<void> {
    await this.#lock[Symbol.asyncDispose]();
  }
}
