import { join } from 'node:path';
import type { Host } from '../../src/host.ts';
import type { PidStat } from '../procfs/pid-stat.ts';
import { readPidStat } from './identity.ts';
import { fileMentions, readLink, readNames } from './proc-files.ts';

/** A process that has `/dev/neuron<N>` open. */
export interface DeviceHolder {
  readonly pid: number;
  readonly stat: PidStat;
  /** Descriptor → device, such as `7` → `/dev/neuron3`. */
  readonly descriptors: ReadonlyMap<string, string>;
}

/** What one look at all processes found. */
export interface HolderScan {
  readonly holders: readonly DeviceHolder[];
  /** Processes whose descriptors may not be seen. */
  readonly denied: number;
}

const MAX_PROCESSES = 65_536;
const MAX_DESCRIPTORS = 16_384;
/** 16 devices with 16 processes each is the most the driver lets attach. */
const MAX_HOLDERS = 1024;
const MAX_MAPS_BYTES = 8 * 1024 * 1024;
/** File operations between two pauses: well below a millisecond. */
const OPERATIONS_PER_STEP = 64;

/**
 * Looks at the descriptors of all processes, in small steps: it yields so that the caller can stop and go on later.
 * The agent's own process is left out. The text of a link is the path inside the mount namespace of that process.
 */
export function* scanHolders(host: Host): Generator<undefined, HolderScan> {
  const holders: DeviceHolder[] = [];
  const isDevice = devicePattern(host);
  let denied = 0;
  for (const pid of processIds(host)) {
    const folder = join(host.procRoot, String(pid), 'fd');
    const names = readNames(folder);
    if (names.is === 'denied') denied += 1;
    yield;
    if (names.is !== 'seen') continue;
    const descriptors = new Map<string, string>();
    for (const [index, name] of names.value.slice(0, MAX_DESCRIPTORS).entries()) {
      const link = readLink(join(folder, name));
      if (link.is === 'seen' && isDevice.test(link.value)) descriptors.set(name, link.value);
      if (index % OPERATIONS_PER_STEP === OPERATIONS_PER_STEP - 1) yield;
    }
    const stat = descriptors.size === 0 ? undefined : statOfHolder(host, pid, descriptors);
    if (stat !== undefined) holders.push({ pid, stat, descriptors });
    if (holders.length === MAX_HOLDERS) break;
  }
  return { holders, denied };
}

/**
 * Whether a process has a device mapped into its memory, as every Neuron runtime has. Forked children inherit descriptors but no
 * mapping: the driver marks its mappings VM_DONTCOPY (driver source neuron_mmap.c, 2.24). Undefined when it cannot be seen.
 */
export function mapsDevice(host: Host, pid: number): boolean | undefined {
  const mentions = fileMentions(join(host.procRoot, String(pid), 'maps'), devicePattern(host), MAX_MAPS_BYTES);
  return mentions.is === 'seen' ? mentions.value : undefined;
}

/** A child that holds nothing but descriptors of its parent. */
export function inheritsDescriptors(child: DeviceHolder, parent: DeviceHolder): boolean {
  return [...child.descriptors].every(([descriptor, device]) => parent.descriptors.get(descriptor) === device);
}

/** The same process before and after one of its links was read again: the descriptors are its own, not those of a predecessor. */
function statOfHolder(host: Host, pid: number, descriptors: ReadonlyMap<string, string>): PidStat | undefined {
  const before = readPidStat(host, pid);
  const [first] = descriptors;
  if (before === undefined || first === undefined) return undefined;
  const link = readLink(join(host.procRoot, String(pid), 'fd', first[0]));
  const after = readPidStat(host, pid);
  return link.is === 'seen' && link.value === first[1] && after?.startTicks === before.startTicks ? after : undefined;
}

function processIds(host: Host): readonly number[] {
  const names = readNames(host.procRoot);
  if (names.is !== 'seen') return [];
  const self = readLink(join(host.procRoot, 'self'));
  const own = self.is === 'seen' ? self.value : undefined;
  return names.value
    .filter((name) => /^\d{1,10}$/.test(name) && name !== own)
    .slice(0, MAX_PROCESSES)
    .map(Number);
}

/** `/dev/neuron0`, also under the injected root of devices, also when the node was removed since. */
function devicePattern(host: Host): RegExp {
  const root = host.devRoot.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`(?:^|\\s)(?:/dev|${root})/neuron\\d+(?: \\(deleted\\))?$`, 'm');
}
