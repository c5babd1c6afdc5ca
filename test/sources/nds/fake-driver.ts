import { AgentError } from '../../../src/errors.ts';
import type { DatastoreAccess } from '../../../sources/nds/access.ts';
import { SLAB_BYTES, buildDatastore, headerOffset } from '../../support/datastore.ts';
import type { DatastoreContent } from '../../support/datastore.ts';

interface Slab {
  readonly offset: bigint;
  readonly memory: Uint8Array<ArrayBuffer>;
}

interface Device {
  /** Attached processes, the reader's own slot aside. */
  readonly attached: Set<number>;
  readonly slabs: Map<number, Slab>;
  openFails?: AgentError;
  isOpen: boolean;
}

/** A driver in memory that notes what is done to it. */
export class FakeDriver implements DatastoreAccess {
  readonly log: string[] = [];
  readonly #devices: readonly Device[];
  #nextOffset = 1n;
  mapped = 0;
  /** Called in the middle of every read, after the counters were copied. */
  onRefresh: (() => void) | undefined;
  /** Called when a process is about to be mapped. */
  onMap: ((pid: number) => void) | undefined;

  constructor(deviceCount: number) {
    this.#devices = Array.from({ length: deviceCount }, () => ({ attached: new Set<number>(), slabs: new Map(), isOpen: false }));
  }

  device(index: number): Device {
    const device = this.#devices[index];
    if (device === undefined) throw new RangeError('no such device');
    return device;
  }

  /** A process attaches and gets a datastore. */
  start(index: number, pid: number, content: DatastoreContent): Slab {
    const memory = new Uint8Array(new ArrayBuffer(SLAB_BYTES));
    memory.set(buildDatastore(content));
    const slab = { offset: this.#nextOffset, memory };
    this.#nextOffset += 1n;
    this.device(index).attached.add(pid);
    this.device(index).slabs.set(pid, slab);
    return slab;
  }

  end(index: number, pid: number): void {
    this.device(index).attached.delete(pid);
    this.device(index).slabs.delete(pid);
  }

  devices(): readonly number[] {
    return this.#devices.map((_, index) => index);
  }

  open(index: number) {
    const device = this.device(index);
    if (device.openFails !== undefined) {
      this.log.push(`refused ${index}`);
      throw device.openFails;
    }
    this.log.push(`open ${index}`);
    device.isOpen = true;
    const touch = (): void => {
      if (!device.isOpen) throw new AgentError('internal', 'nds', 'used after close');
    };
    return {
      attached: () => {
        touch();
        return [1, ...device.attached];
      },
      locate: (pid: number) => {
        touch();
        const slab = device.slabs.get(pid);
        return slab === undefined ? undefined : { offset: slab.offset, bytes: SLAB_BYTES };
      },
      map: (pid: number) => this.#map(device, pid),
      close: () => {
        this.log.push(`close ${index}`);
        device.isOpen = false;
      },
    };
  }

  #map(device: Device, pid: number) {
    this.onMap?.(pid);
    const slab = device.slabs.get(pid);
    if (slab === undefined) throw new AgentError('source_malformed', 'nds', 'gone');
    this.mapped += 1;
    return { memory: slab.memory, refresh: () => this.onRefresh?.(), unmap: () => void (this.mapped -= 1) };
  }
}

/** Adds to one counter of one core, as the runtime does. */
export function count(slab: { readonly memory: Uint8Array }, core: number, counter: number, amount: bigint): void {
  const view = new DataView(slab.memory.buffer);
  const at = headerOffset(core, counter);
  view.setBigUint64(at, view.getBigUint64(at, true) + amount, true);
}

export function setLatency(slab: { readonly memory: Uint8Array }, core: number, seconds: number): void {
  const view = new DataView(slab.memory.buffer);
  for (const counter of [13, 14]) view.setFloat64(headerOffset(core, counter), seconds, true);
}
