import { encodeDatastore } from './datastore.ts';
import type { ProcessTruth, Truth } from './truth.ts';
import type { TreeWriter } from './tree-writer.ts';

/**
 * Keeps one datastore file for each process on each of its devices, `neuron<N>/<pid>`: what a process would map from a device node.
 */
export class DatastoreTree {
  readonly #writer: TreeWriter;
  readonly #truth: Truth;
  readonly #inherits: boolean;
  readonly #processes = new Set<ProcessTruth>();

  /** `inherits`: what a process counted stays in its datastore for the next owner. */
  constructor(writer: TreeWriter, truth: Truth, options: { readonly inherits: boolean }) {
    this.#writer = writer;
    this.#truth = truth;
    this.#inherits = options.inherits;
    for (const device of truth.devices) writer.addDirectory(`neuron${device.index}`);
  }

  removeEnded(): void {
    const alive = new Set(this.#truth.processes);
    for (const process of this.#processes) {
      if (alive.has(process)) continue;
      this.#processes.delete(process);
      for (const device of process.devices) this.#writer.remove(pathOf(process, device));
    }
  }

  addStarted(): void {
    for (const process of this.#truth.processes) {
      if (this.#processes.has(process)) continue;
      this.#processes.add(process);
      for (const device of process.devices) {
        const content = (): Uint8Array => encodeDatastore(process, device, { inherits: this.#inherits });
        this.#writer.add({ path: pathOf(process, device), content, mode: 0o600 });
      }
    }
  }
}

function pathOf(process: ProcessTruth, device: number): string {
  return `neuron${device}/${process.pid}`;
}
