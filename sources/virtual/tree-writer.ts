import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a file says: a number is printed as the kernel prints counters, with a line end; text and bytes stand as they are. */
export type FileContent = number | bigint | string | Uint8Array;

/** A file of a virtual tree, and what it says now. */
export interface TreeFile {
  /** Relative to the tree's root. */
  readonly path: string;
  readonly content: () => FileContent;
  /** Read-only for everybody unless it says otherwise. */
  readonly mode?: number;
}

interface WrittenFile extends TreeFile {
  descriptor: number | undefined;
  last: FileContent | undefined;
  bytes: number;
}

/** Descriptors kept for files that change; the rest of thousands of files are written once. */
const MAX_KEPT = 4_096;

/**
 * Keeps files up to date in place: what did not change is not written, and a reader's open descriptor always shows the latest.
 * A write is one system call, so a reader sees the old text or the new one.
 */
export class TreeWriter {
  readonly #root: string;
  readonly #files = new Map<string, WrittenFile>();
  readonly #directories = new Set<string>();
  #kept = 0;

  constructor(root: string) {
    this.#root = root;
    mkdirSync(root, { recursive: true });
  }

  add(file: TreeFile): void {
    this.addDirectory(dirname(file.path));
    const written: WrittenFile = { ...file, descriptor: undefined, last: undefined, bytes: 0 };
    this.#files.set(file.path, written);
    this.#update(written);
  }

  addLink(path: string, target: string): void {
    this.addDirectory(dirname(path));
    symlinkSync(target, join(this.#root, path));
  }

  /** Takes a file or a directory with all its files out of the tree. */
  remove(path: string): void {
    for (const [name, file] of this.#files) {
      if (name !== path && !name.startsWith(`${path}/`)) continue;
      this.#close(file);
      this.#files.delete(name);
    }
    for (const name of this.#directories) if (name === path || name.startsWith(`${path}/`)) this.#directories.delete(name);
    rmSync(join(this.#root, path), { recursive: true, force: true });
  }

  /** Writes what changed; returns how many files that were. */
  update(): number {
    let written = 0;
    for (const file of this.#files.values()) if (this.#update(file)) written += 1;
    return written;
  }

  close(): void {
    for (const file of this.#files.values()) this.#close(file);
  }

  addDirectory(path: string): void {
    if (this.#directories.has(path)) return;
    this.#directories.add(path);
    mkdirSync(join(this.#root, path), { recursive: true });
  }

  #update(file: WrittenFile): boolean {
    const content = file.content();
    if (sameContent(content, file.last)) return false;
    const isFirst = file.last === undefined;
    file.last = content instanceof Uint8Array ? content.slice() : content;
    const bytes = typeof content === 'object' ? content : Buffer.from(typeof content === 'string' ? content : `${content}\n`, 'latin1');
    this.#write(file, bytes, isFirst);
    return true;
  }

  #write(file: WrittenFile, bytes: Uint8Array, isFirst: boolean): void {
    const descriptor = file.descriptor ?? openSync(join(this.#root, file.path), isFirst ? 'w' : 'r+', (file.mode ?? 0o444) | 0o200);
    writeSync(descriptor, bytes, 0, bytes.length, 0);
    if (bytes.length < file.bytes) ftruncateSync(descriptor, bytes.length);
    file.bytes = bytes.length;
    if (file.descriptor !== undefined) return;
    // Whatever changed once will change again; most files never do.
    if (isFirst || this.#kept >= MAX_KEPT) {
      closeSync(descriptor);
    } else {
      file.descriptor = descriptor;
      this.#kept += 1;
    }
  }

  #close(file: WrittenFile): void {
    if (file.descriptor === undefined) return;
    closeSync(file.descriptor);
    file.descriptor = undefined;
    this.#kept -= 1;
  }
}

function sameContent(a: FileContent, b: FileContent | undefined): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b;
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
