import { encodeDatastore } from './datastore.ts';
import type { ProcessTruth, Truth } from './truth.ts';
import type { TreeWriter } from './tree-writer.ts';

/**
 * Keeps one datastore file for each process on each of its devices, `neuron<N>/<pid>`: what a process would map from a device node.
 */
export class DatastoreTree {
  readonly #writer: TreeWriter;
  readonly #truth: Truth;
  readonly #processes = new Set<ProcessTruth>();

  constructor(writer: TreeWriter, truth: Truth) {
    this.#writer = writer;
    this.#truth = truth;
    for (const device of truth.devices) writer.addDirectory(`neuron${device.index}`);
    this.follow();
  }

  follow(): void {
    const alive = new Set(this.#truth.processes);
    for (const process of this.#processes) {
      if (alive.has(process)) continue;
      this.#processes.delete(process);
      for (const device of process.devices) this.#writer.remove(pathOf(process, device));
    }
    for (const process of alive) {
      if (this.#processes.has(process)) continue;
      this.#processes.add(process);
      for (const device of process.devices) {
        this.#writer.add({ path: pathOf(process, device), content: () => encodeDatastore(process, device), mode: 0o600 });
      }
    }
  }
}

function pathOf(process: ProcessTruth, device: number): string {
  return `neuron${device}/${process.pid}`;
}
