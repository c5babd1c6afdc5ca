import { closeSync, openSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileError } from '../../src/file-error.ts';
import type { DatastoreAccess, OpenDevice } from './access.ts';
import { SLAB_BYTES, USED_BYTES } from './layout.ts';

/** Datastores as files, `neuron<N>/<pid>` below a folder: those of a virtual host, or copies of real ones. */
export function createFileAccess(devRoot: string): DatastoreAccess {
  return {
    devices: () =>
      namesIn(devRoot)
        .flatMap((name) => /^neuron(\d{1,4})$/.exec(name)?.[1] ?? [])
        .map(Number)
        .toSorted((a, b) => a - b),
    open: (device) => openFolder(join(devRoot, `neuron${device}`)),
  };
}

function openFolder(folder: string): OpenDevice {
  return {
    attached: () =>
      // A reader is attached as well, to a real device.
      [
        0,
        ...namesIn(folder)
          .filter((name) => /^\d{1,10}$/.test(name))
          .map(Number),
      ],
    locate: (pid) => (pid === 0 ? undefined : { offset: BigInt(pid), bytes: SLAB_BYTES }),
    map: (pid) => {
      const memory = new Uint8Array(new ArrayBuffer(USED_BYTES));
      return { memory, refresh: () => readInto(memory, join(folder, String(pid))), unmap: () => {} };
    },
    close: () => {},
  };
}

/** Each time anew: the file may have been replaced. */
function readInto(memory: Uint8Array, path: string): void {
  try {
    const descriptor = openSync(path, 'r');
    try {
      readSync(descriptor, memory, 0, USED_BYTES, 0);
    } finally {
      closeSync(descriptor);
    }
  } catch (thrown) {
    throw fileError(thrown, 'nds');
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    throw fileError(thrown, 'nds');
  }
}
