import { nodeFile } from './node-file.ts';
import type { NodeFile } from './node-file.ts';

/** Files by name, in the order they were found: two lists, because a cycle goes through thousands of them. */
export class NamedFiles {
  readonly names: string[] = [];
  readonly files: NodeFile[] = [];

  get(name: string): NodeFile | undefined {
    return this.files[this.names.indexOf(name)];
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** The first file of a name counts. */
  place(name: string, path: string): void {
    if (this.has(name)) return;
    this.names.push(name);
    this.files.push(nodeFile(path));
  }
}
