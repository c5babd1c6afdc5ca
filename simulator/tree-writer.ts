import { closeSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
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
  last: FileContent;
  bytes: number;
}

/** Name under which things are put together before they appear, and taken apart when they are gone; readers know no such name. */
const HIDDEN = '.hidden';
/** Descriptors kept for files that change; the rest of thousands of files are written once. */
const MAX_KEPT = 4_096;

/**
 * Keeps files up to date in place: what did not change is not written, and a reader's open descriptor always shows the latest.
 * What is new appears with its content, and a write is one system call: a reader sees the old text or the new one. Only where a text gets
 * shorter can it see the end of the old one behind the new one, for a moment.
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
    const hidden = join(this.#root, HIDDEN);
    this.addDirectory(dirname(file.path));
    this.#create(file, hidden);
    renameSync(hidden, join(this.#root, file.path));
  }

  addLink(path: string, target: string): void {
    this.addDirectory(dirname(path));
    symlinkSync(target, join(this.#root, path));
  }

  /** A directory that appears with all that is in it, as a process does in `/proc`. Paths of files and links are relative to it. */
  addWhole(directory: string, files: readonly TreeFile[], links: ReadonlyMap<string, string>): void {
    const hidden = join(this.#root, HIDDEN);
    const folders = new Set([...files.map(({ path }) => path), ...links.keys()].map((path) => dirname(path)));
    for (const folder of folders) mkdirSync(join(hidden, folder), { recursive: true });
    for (const file of files) this.#create({ ...file, path: `${directory}/${file.path}` }, join(hidden, file.path));
    for (const [path, target] of links) symlinkSync(target, join(hidden, path));
    renameSync(hidden, join(this.#root, directory));
  }

  /** Takes a file or a directory with all its files out of the tree, at once. */
  remove(path: string): void {
    for (const [name, file] of this.#files) {
      if (name !== path && !name.startsWith(`${path}/`)) continue;
      this.#close(file);
      this.#files.delete(name);
    }
    for (const name of this.#directories) if (name === path || name.startsWith(`${path}/`)) this.#directories.delete(name);
    const hidden = join(this.#root, HIDDEN);
    renameSync(join(this.#root, path), hidden);
    rmSync(hidden, { recursive: true });
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

  #create(file: TreeFile, path: string): void {
    const content = file.content();
    const bytes = bytesOf(content);
    writeFileSync(path, bytes, { mode: (file.mode ?? 0o444) | 0o200 });
    this.#files.set(file.path, { ...file, descriptor: undefined, last: copyOf(content), bytes: bytes.length });
  }

  #update(file: WrittenFile): boolean {
    const content = file.content();
    if (sameContent(content, file.last)) return false;
    file.last = copyOf(content);
    this.#write(file, bytesOf(content));
    return true;
  }

  #write(file: WrittenFile, bytes: Uint8Array): void {
    const descriptor = file.descriptor ?? openSync(join(this.#root, file.path), 'r+');
    writeSync(descriptor, bytes, 0, bytes.length, 0);
    if (bytes.length < file.bytes) ftruncateSync(descriptor, bytes.length);
    file.bytes = bytes.length;
    if (file.descriptor !== undefined) return;
    // Whatever changed once will change again; most files never do.
    if (this.#kept >= MAX_KEPT) {
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

function bytesOf(content: FileContent): Uint8Array {
  return typeof content === 'object' ? content : Buffer.from(typeof content === 'string' ? content : `${content}\n`, 'latin1');
}

function copyOf(content: FileContent): FileContent {
  return typeof content === 'object' ? content.slice() : content;
}

function sameContent(a: FileContent, b: FileContent): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b;
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
