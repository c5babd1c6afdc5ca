import { nodeFileSystem } from '../../../exporters/otlp/file-system.ts';
import type { QueueFile, QueueFileSystem } from '../../../exporters/otlp/file-system.ts';

export type Operation = 'makeDirectory' | 'list' | 'open' | 'rename' | 'remove' | 'read' | 'write' | 'truncate' | 'sync';

/** The real file system, where operations fail with the given code while they are listed. */
export class FaultyFiles implements QueueFileSystem {
  readonly failing = new Map<Operation, string>();

  fail(code: string, ...operations: readonly Operation[]): void {
    for (const operation of operations) this.failing.set(operation, code);
  }

  heal(): void {
    this.failing.clear();
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run('makeDirectory', () => nodeFileSystem.makeDirectory(path));
  }

  list(path: string): Promise<string[]> {
    return this.#run('list', () => nodeFileSystem.list(path));
  }

  open(path: string, mode: 'create' | 'update' | 'read'): Promise<QueueFile> {
    return this.#run('open', async () => this.#wrap(await nodeFileSystem.open(path, mode)));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run('rename', () => nodeFileSystem.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#run('remove', () => nodeFileSystem.remove(path));
  }

  #wrap(file: QueueFile): QueueFile {
    return {
      read: (buffer, position) => this.#run('read', () => file.read(buffer, position)),
      write: (buffers, position) => this.#write(file, buffers, position),
      truncate: (size) => this.#run('truncate', () => file.truncate(size)),
      sync: () => this.#run('sync', () => file.sync()),
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  /** A full disk takes a part first. */
  async #write(file: QueueFile, buffers: readonly Buffer[], position: number): Promise<void> {
    if (this.failing.has('write')) await file.write([Buffer.concat(buffers).subarray(0, 10)], position);
    await this.#run('write', () => file.write(buffers, position));
  }

  async #run<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    const code = this.failing.get(operation);
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${operation}`), { code });
    return await work();
  }
}
