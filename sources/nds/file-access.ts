import { closeSync, fstatSync, openSync, readSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from '../../src/errors.ts';
import { fileError } from '../../src/file-error.ts';
import { deviceIndexes } from './access.ts';
import type { DatastoreAccess, DatastoreLocation, MappedDatastore, OpenDevice } from './access.ts';
import { SLAB_BYTES, USED_BYTES } from './layout.ts';

type Memory = Uint8Array<ArrayBuffer>;

/** Datastores as files, `neuron<N>/<pid>` below a folder: those of a virtual host, or copies of real ones. */
export function createFileAccess(devRoot: string): DatastoreAccess {
  // As many as were in use at once wait for their next owners: where processes come and go the collector would fall far behind.
  const spare: Memory[] = [];
  return {
    devices: () => deviceIndexes(namesIn(devRoot)),
    open: (device) => openFolder(join(devRoot, `neuron${device}`), spare),
  };
}

function openFolder(folder: string, spare: Memory[]): OpenDevice {
  // `join` would take the folder apart for each process again.
  const pathOf = (pid: number): string => `${folder}/${pid}`;
  return {
    attached: () => pidsIn(namesIn(folder)),
    locate: (pid) => (pid === 0 ? undefined : locateFile(pathOf(pid))),
    map: (pid, location) => mapFile(pathOf(pid), location, spare),
    close: () => {},
  };
}

function pidsIn(names: readonly string[]): readonly number[] {
  // A reader is attached as well, to a real device.
  const pids = [0];
  for (const name of names) if (/^\d{1,10}$/.test(name)) pids.push(Number(name));
  return pids;
}

/** Another file under the same name is another location. */
function locateFile(path: string): DatastoreLocation | undefined {
  const inode = inodeOf(path);
  return inode === undefined ? undefined : { offset: inode, bytes: SLAB_BYTES };
}

/** As a number where it is exact, since that costs much less. */
function inodeOf(path: string): bigint | undefined {
  const file = statSync(path, { throwIfNoEntry: false });
  if (file === undefined) return undefined;
  return Number.isSafeInteger(file.ino) ? BigInt(file.ino) : statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

/** Like a mapping it stays readable when its owner is gone. */
function mapFile(path: string, location: DatastoreLocation, spare: Memory[]): MappedDatastore {
  const descriptor = openFile(path);
  if (fstatSync(descriptor, { bigint: true }).ino !== location.offset) {
    closeSync(descriptor);
    throw new AgentError('source_absent', 'nds', `${path} has another owner by now`);
  }
  const memory = spare.pop()?.fill(0) ?? new Uint8Array(new ArrayBuffer(USED_BYTES));
  return {
    memory,
    refresh: (from, to) => void readSync(descriptor, memory, from, to - from, from),
    unmap: () => {
      closeSync(descriptor);
      spare.push(memory);
    },
  };
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r');
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
