import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { AgentError } from '../../src/errors.ts';

const FIRST_BUFFER_BYTES = 16 * 1024;

/** `/proc/stat` of a large host has tens of kilobytes; nothing the agent keeps open comes near this. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * A small kernel file that is read again and again: the descriptor stays open, each read is one positional system call.
 * Reads are synchronous because procfs never waits for a disk, and a promise would cost more than the read.
 */
export class KeptFile {
  readonly path: string;
  #descriptor: number | undefined;
  #buffer = Buffer.allocUnsafe(FIRST_BUFFER_BYTES);

  constructor(path: string) {
    this.path = path;
  }

  /**
   * The whole content, valid until the next read. Throws the file system's error, or `source_malformed` when it is too long; the next read
   * opens the file anew.
   */
  read(): Buffer {
    try {
      return this.#read(this.#open());
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  text(): string {
    return this.read().toString('latin1');
  }

  /** Safe to repeat; a later read opens the file again. */
  close(): void {
    if (this.#descriptor === undefined) return;
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    closeSync(descriptor);
  }

  /** A file that was replaced has no name any more: its descriptor would show the past for ever. */
  #open(): number {
    if (this.#descriptor !== undefined && fstatSync(this.#descriptor).nlink === 0) this.close();
    this.#descriptor ??= openSync(this.path, 'r');
    return this.#descriptor;
  }

  #read(descriptor: number): Buffer {
    for (;;) {
      const length = readSync(descriptor, this.#buffer, 0, this.#buffer.length, 0);
      if (length < this.#buffer.length) return this.#buffer.subarray(0, length);
      if (this.#buffer.length >= MAX_BYTES)
        throw new AgentError('source_malformed', 'procfs', `${this.path}: more than ${MAX_BYTES} bytes`);
      this.#buffer = Buffer.allocUnsafe(this.#buffer.length * 2);
    }
  }
}
