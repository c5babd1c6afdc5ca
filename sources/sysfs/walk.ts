import { readdirSync, statSync } from 'node:fs';
import type { Dirent } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';

/** One `neuron<N>` directory. */
export interface DeviceDirectory {
  readonly index: number;
  readonly path: string;
}

/** One entry below a device's directory: a regular file, a folder, or something else (a link, a pipe), which is never opened. */
export interface FoundEntry {
  readonly path: string;
  /** Names of the directories between the device's directory and the entry. */
  readonly directories: readonly string[];
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'other';
}

/** Deeper than any known tree; the kernel's `subsystem` links would otherwise lead round in circles. */
const MAX_DEPTH = 8;
/** A Trainium2 device has 852 files. */
const MAX_FILES_PER_DEVICE = 16_384;
const MAX_DEVICES = 1_024;

/** Directories of devices, the better one first: in `class/` they are links, and share the directory with other attributes. */
const ROOTS = ['devices/virtual/neuron_device', 'class/neuron_device'] as const;

/** Returns the devices of the host, by index. Empty without a driver; throws every error of the kernel but absence. */
export function findDevices(sysRoot: string): readonly DeviceDirectory[] {
  for (const root of ROOTS) {
    const devices: DeviceDirectory[] = [];
    for (const name of namesIn(join(sysRoot, root))) {
      const [, index] = /^neuron(\d{1,4})$/.exec(name) ?? [];
      if (index !== undefined && devices.length < MAX_DEVICES) devices.push({ index: Number(index), path: join(sysRoot, root, name) });
    }
    if (devices.length > 0) return devices.toSorted((a, b) => a.index - b.index);
  }
  return [];
}

/** Returns every entry below a device's directory; links are not followed, unreadable directories are left out. */
export function findEntries(device: DeviceDirectory): readonly FoundEntry[] {
  const found: FoundEntry[] = [];
  const pending: { readonly path: string; readonly directories: readonly string[] }[] = [{ path: device.path, directories: [] }];
  let files = 0;
  for (let next = pending.pop(); next !== undefined && files < MAX_FILES_PER_DEVICE; next = pending.pop()) {
    const { path, directories } = next;
    const folders: typeof pending = [];
    for (const entry of entriesOf(path)) {
      const { name } = entry;
      const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : 'other';
      found.push({ path: joined(path, name), directories, name, kind });
      if (kind === 'file') files += 1;
      else if (kind === 'folder') folders.push({ path: joined(path, name), directories: [...directories, name] });
    }
    // The last one in is the next one out.
    if (directories.length < MAX_DEPTH) pending.push(...folders.toReversed());
  }
  return found;
}

/** Returns the inode of a directory, which changes when the directory was made anew; undefined when there is none. */
export function inodeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino;
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return undefined;
  }
}

/** Makes one flat string: thousands of paths are kept, and a concatenation would keep both of its halves as well. */
function joined(path: string, name: string): string {
  return [path, name].join('/');
}

/** Returns entries in order of name, so that the same tree always gives the same inventory. */
function entriesOf(path: string): readonly Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return [];
  }
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (thrown) {
    const errno = errnoName(thrown);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return [];
    throw thrown;
  }
}
