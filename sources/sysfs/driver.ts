import { join } from 'node:path';
import { readLine } from '../../src/line-file.ts';
import { inodeOf } from './walk.ts';

/** Since this release the driver computes the datastore's counters whenever sysfs is read; before, they stood still until a process ended. */
const LIVE_SINCE = [2, 30, 2] as const;

/** The kernel module, as far as this host shows it. */
export class Driver {
  readonly #path: string;
  #inode: number | undefined;
  #version: string | undefined;

  constructor(sysRoot: string) {
    this.#path = join(sysRoot, 'module', 'neuron');
    this.check();
  }

  get version(): string | undefined {
    return this.#version;
  }

  /** Looks again; true when the module was loaded anew, so that every counter begins again. */
  check(): boolean {
    const inode = inodeOf(this.#path);
    const version = inode === undefined ? undefined : this.#readVersion();
    const reloaded = inode !== this.#inode || version !== this.#version;
    this.#inode = inode;
    this.#version = version;
    return reloaded;
  }

  /**
   * Whether utilization, FLOPs and executions move while applications run. Where the version is hidden, the error counters of
   * corrected events tell: they came with the same release.
   */
  countersAreLive(hasCorrectedErrors: boolean): boolean {
    if (this.#version === undefined) return hasCorrectedErrors;
    const parts = this.#version.split('.').map(Number);
    for (const [i, since] of LIVE_SINCE.entries()) {
      const part = parts[i] ?? 0;
      if (part !== since) return part > since;
    }
    return true;
  }

  #readVersion(): string | undefined {
    const text = readLine(join(this.#path, 'version'));
    return text !== undefined && /^\d{1,5}(\.\d{1,10}){1,4}$/.test(text) ? text : undefined;
  }
}
