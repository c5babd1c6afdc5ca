import { nodeFileSystem } from '../../../exporters/delivery/file-system.ts';
import type { QueueFileSystem } from '../../../exporters/delivery/file-system.ts';

export type Operation = keyof QueueFileSystem;

/** The real file system, where operations fail with the given code while they are listed. */
export class FaultyFiles implements QueueFileSystem {
  readonly failing = new Map<Operation, string>();
  /** How often each operation was called. */
  readonly calls = new Map<Operation, number>();

  fail(code: string, ...operations: readonly Operation[]): void {
    for (const operation of operations) this.failing.set(operation, code);
  }

  heal(): void {
    this.failing.clear();
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run('makeDirectory', () => nodeFileSystem.makeDirectory(path));
  }

  list(path: string): ReturnType<QueueFileSystem['list']> {
    return this.#run('list', () => nodeFileSystem.list(path));
  }

  write(path: string, buffers: readonly Buffer[]): Promise<void> {
    return this.#run('write', () => nodeFileSystem.write(path, buffers));
  }

  read(path: string, maxBytes: number): Promise<Buffer> {
    return this.#run('read', () => nodeFileSystem.read(path, maxBytes));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run('rename', () => nodeFileSystem.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#run('remove', () => nodeFileSystem.remove(path));
  }

  async #run<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1);
    const code = this.failing.get(operation);
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${operation}`), { code });
    return await work();
  }
}
