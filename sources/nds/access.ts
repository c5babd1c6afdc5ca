/** The address of a datastore from the driver: an opaque number for mmap, and the length of the mapping. */
export interface DatastoreLocation {
  readonly offset: bigint;
  readonly bytes: number;
}

/** One datastore in this process's memory. */
export interface MappedDatastore {
  /** Changes under the reader at any time, where it is shared with the owner. Not to be touched after `unmap`. */
  readonly memory: Uint8Array<ArrayBuffer>;
  /** Brings these bytes of `memory` up to date where it is a copy. */
  refresh(from: number, to: number): void;
  unmap(): void;
}

/** One device that is open. Its methods throw `AgentError`. */
export interface OpenDevice {
  /** Processes attached to the device, the reader among them; pids of the host. */
  attached(): readonly number[];
  /** Returns the address of the datastore of a process; undefined when it has none. */
  locate(pid: number): DatastoreLocation | undefined;
  map(pid: number, location: DatastoreLocation): MappedDatastore;
  close(): void;
}

/** How datastores are reached. */
export interface DatastoreAccess {
  /** Device indexes, ascending. */
  devices(): readonly number[];
  /** Throws `AgentError`. May block for as long as a device is being reset: never on the main thread. */
  open(device: number): OpenDevice;
}

/** A folder of devices holds hundreds of other names. */
const DEVICE_PREFIX = 'neuron';
const DEVICE_NAME = /^neuron(\d{1,4})$/;

/** Processes that can be attached to one device, driver header neuron_driver_shared.h since 2.18. */
export const ATTACH_SLOTS = 16;

/** Indexes of the devices among the names of a folder, ascending. */
export function deviceIndexes(names: readonly string[]): readonly number[] {
  const indexes: number[] = [];
  for (const name of names) {
    const index = name.startsWith(DEVICE_PREFIX) ? DEVICE_NAME.exec(name)?.[1] : undefined;
    if (index !== undefined) indexes.push(Number(index));
  }
  return indexes.toSorted((a, b) => a - b);
}
