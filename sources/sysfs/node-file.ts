import { closeSync, openSync, readSync } from 'node:fs';
import { errnoName } from '../../src/file-error.ts';

/** A sysfs attribute. `descriptor` is kept open between reads while there are enough of them. */
export interface NodeFile {
  readonly path: string;
  descriptor: number | undefined;
}

export function nodeFile(path: string): NodeFile {
  return { path, descriptor: undefined };
}

/** An attribute of the driver is at most one page. */
const BUFFER_BYTES = 4096;
/** How many kept descriptors are given back when the process runs out of them. */
const GIVEN_BACK = 64;

/**
 * Reads attributes into one buffer: one `pread` each through kept descriptors, open-read-close for the rest.
 * The kernel renders an attribute anew whenever it is read from its start.
 */
export class NodeReader {
  readonly buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #kept = new Set<NodeFile>();
  #maxKept: number;

  constructor(maxKept: number) {
    this.#maxKept = maxKept;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  /** Bytes now in `buffer`. Throws the file system's error; the next read opens the file anew. */
  read(file: NodeFile): number {
    const { descriptor } = file;
    if (descriptor === undefined) return this.#open(file);
    try {
      return readSync(descriptor, this.buffer, 0, BUFFER_BYTES, 0);
    } catch (thrown) {
      this.release(file);
      throw thrown;
    }
  }

  /** The whole attribute as text, without spaces at either end. */
  readText(file: NodeFile): string {
    const length = this.read(file);
    return this.buffer.toString('latin1', 0, length).trim();
  }

  release(file: NodeFile): void {
    const { descriptor } = file;
    if (descriptor === undefined) return;
    file.descriptor = undefined;
    this.#kept.delete(file);
    closeSync(descriptor);
  }

  releaseAll(): void {
    for (const file of this.#kept) this.release(file);
  }

  #open(file: NodeFile): number {
    const descriptor = this.#openDescriptor(file.path);
    try {
      return readSync(descriptor, this.buffer, 0, BUFFER_BYTES, 0);
    } finally {
      if (this.#kept.size < this.#maxKept) {
        file.descriptor = descriptor;
        this.#kept.add(file);
      } else {
        closeSync(descriptor);
      }
    }
  }

  /** Out of descriptors: others need them more, so some are given back and no more are kept. */
  #openDescriptor(path: string): number {
    try {
      return openSync(path, 'r');
    } catch (thrown) {
      const errno = errnoName(thrown);
      if ((errno !== 'EMFILE' && errno !== 'ENFILE') || this.#kept.size === 0) throw thrown;
      this.#maxKept = Math.max(0, this.#kept.size - GIVEN_BACK);
      for (const file of this.#kept) {
        if (this.#kept.size <= this.#maxKept) break;
        this.release(file);
      }
      return openSync(path, 'r');
    }
  }
}
