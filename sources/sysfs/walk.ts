import { readdirSync, statSync } from 'node:fs';
import type { Dirent } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';

/** One `neuron<N>` directory. */
export interface DeviceDirectory {
  readonly index: number;
  readonly path: string;
}

/** A file below a device's directory. */
export interface FoundFile {
  readonly path: string;
  /** Names of the directories between the device's directory and the file. */
  readonly directories: readonly string[];
  readonly name: string;
}

/** Deeper than any known tree; the kernel's `subsystem` links would otherwise lead round in circles. */
const MAX_DEPTH = 8;
/** A Trainium2 device has 852 files. */
const MAX_FILES_PER_DEVICE = 16_384;
const MAX_DEVICES = 1_024;

/** Where devices stand, the better place first: in `class/` they are links, and share the directory with other attributes. */
const ROOTS = ['devices/virtual/neuron_device', 'class/neuron_device'] as const;

/** Devices of the host, by index. Empty without a driver; throws only what the kernel says beyond absence. */
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

/** Every regular file below a device's directory; links are not followed, unreadable directories are left out. */
export function findFiles(device: DeviceDirectory): readonly FoundFile[] {
  const files: FoundFile[] = [];
  const pending: { readonly path: string; readonly directories: readonly string[] }[] = [{ path: device.path, directories: [] }];
  for (let next = pending.pop(); next !== undefined && files.length < MAX_FILES_PER_DEVICE; next = pending.pop()) {
    const { path, directories } = next;
    const entries = entriesOf(path);
    for (const entry of entries) if (entry.isFile()) files.push({ path: joined(path, entry.name), directories, name: entry.name });
    if (directories.length === MAX_DEPTH) continue;
    // The last one in is the next one out.
    for (const { name } of entries.filter((entry) => entry.isDirectory()).toReversed()) {
      pending.push({ path: joined(path, name), directories: [...directories, name] });
    }
  }
  return files;
}

/** Changes when a directory was made anew; undefined when there is none to be seen. */
export function inodeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino;
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return undefined;
  }
}

/** One flat string: thousands of paths are kept, and a concatenation would keep all its parts as well. */
function joined(path: string, name: string): string {
  return [path, name].join('/');
}

/** In order of name, so that the same tree always gives the same inventory. */
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
