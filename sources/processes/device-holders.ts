import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '../../src/host.ts';
import type { PidStat } from '../procfs/pid-stat.ts';
import { readPidStat } from './identity.ts';
import { fileMentions, readLink, readNames } from './proc-files.ts';
import type { Looked } from './proc-files.ts';

/** `DeviceHolder` is a process that has `/dev/neuron<N>` open. */
export interface DeviceHolder {
  readonly pid: number;
  readonly stat: PidStat;
  /** Descriptor → device, such as `7` → `/dev/neuron3`; empty where the descriptors are denied and the mapping is not. */
  readonly descriptors: ReadonlyMap<string, string>;
  /** Set where the mapping was read in place of the descriptors. */
  readonly isMapped?: true;
}

/** `HolderScan` is the result of one scan over all processes. */
export interface HolderScan {
  readonly holders: readonly DeviceHolder[];
  /** Processes that the agent has no right to look at. Threads of the kernel are not counted: they hold no device. */
  readonly denied: number;
}

const MAX_PROCESSES = 65_536;
const MAX_DESCRIPTORS = 16_384;
/** The driver lets 16 processes attach to each device, and a host has at most 16 devices; this is four times as many. */
const MAX_HOLDERS = 1024;
const MAX_MAPS_BYTES = 8 * 1024 * 1024;
/** File operations between two pauses: well below a millisecond. */
const OPERATIONS_PER_STEP = 64;

/**
 * Looks at the descriptors of all processes, in small steps: it yields so that the caller can stop and go on later.
 * The agent's own process is left out. The text of a link is the path inside the mount namespace of that process.
 *
 * `/proc/<pid>/fd` belongs to the owner of the process and has mode 0500, so CAP_SYS_PTRACE alone does not open the one of another
 * user; `/proc/<pid>/maps` has mode 0444 and needs that capability only. Where descriptors are denied the mappings are read instead.
 */
export function* scanHolders(host: Host): Generator<undefined, HolderScan> {
  const holders: DeviceHolder[] = [];
  const isDevice = devicePattern(host);
  let denied = 0;
  for (const pid of processIds(host)) {
    const descriptors = yield* deviceDescriptors(join(host.procRoot, String(pid), 'fd'), isDevice);
    if (descriptors.is === 'gone') continue;
    const holder = descriptors.is === 'denied' ? holderByMapping(host, pid) : holderByDescriptors(host, pid, descriptors.value);
    if (holder === 'denied') denied += 1;
    else if (holder !== undefined) holders.push(holder);
    if (holders.length === MAX_HOLDERS) break;
  }
  return { holders, denied };
}

/** User 0 without capabilities may list the descriptors of its own processes and may not read where they lead. */
function* deviceDescriptors(folder: string, isDevice: RegExp): Generator<undefined, Looked<ReadonlyMap<string, string>>> {
  const names = readNames(folder);
  yield;
  if (names.is !== 'seen') return names;
  const descriptors = new Map<string, string>();
  for (const [index, name] of names.value.slice(0, MAX_DESCRIPTORS).entries()) {
    const link = readLink(join(folder, name));
    if (link.is === 'denied') return link;
    if (link.is === 'seen' && isDevice.test(link.value)) descriptors.set(name, link.value);
    if (index % OPERATIONS_PER_STEP === OPERATIONS_PER_STEP - 1) yield;
  }
  return { is: 'seen', value: descriptors };
}

function holderByDescriptors(host: Host, pid: number, descriptors: ReadonlyMap<string, string>): DeviceHolder | undefined {
  const stat = descriptors.size === 0 ? undefined : statOfHolder(host, pid, descriptors);
  return stat === undefined ? undefined : { pid, stat, descriptors };
}

/**
 * Looks whether a process has a device mapped into its memory, as every Neuron runtime has. Forked children inherit descriptors
 * but no mapping: the driver marks its mappings VM_DONTCOPY (driver source neuron_mmap.c, 2.24).
 */
export function mapsDevice(host: Host, pid: number): Looked<boolean> {
  return fileMentions(join(host.procRoot, String(pid), 'maps'), devicePattern(host), MAX_MAPS_BYTES);
}

/** Returns true for a child that holds nothing but descriptors of its parent. */
export function inheritsDescriptors(child: DeviceHolder, parent: DeviceHolder): boolean {
  return [...child.descriptors].every(([descriptor, device]) => parent.descriptors.get(descriptor) === device);
}

function holderByMapping(host: Host, pid: number): DeviceHolder | 'denied' | undefined {
  const stat = readPidStat(host, pid);
  if (stat === undefined || stat.isKernelThread) return undefined;
  const mapping = mapsDevice(host, pid);
  if (mapping.is === 'denied') return 'denied';
  const isHolder = mapping.is === 'seen' && mapping.value && isUnchanged(host, pid, stat);
  return isHolder ? { pid, stat, descriptors: new Map(), isMapped: true } : undefined;
}

function isUnchanged(host: Host, pid: number, stat: PidStat): boolean {
  return readPidStat(host, pid)?.startTicks === stat.startTicks;
}

/**
 * Returns the stat of the process that owns `descriptors`. One link is read again between two reads of the start time, so that the
 * descriptors are not those of a process that had this pid before.
 */
function statOfHolder(host: Host, pid: number, descriptors: ReadonlyMap<string, string>): PidStat | undefined {
  const before = readPidStat(host, pid);
  const [first] = descriptors;
  if (before === undefined || first === undefined) return undefined;
  const link = readLink(join(host.procRoot, String(pid), 'fd', first[0]));
  return link.is === 'seen' && link.value === first[1] && isUnchanged(host, pid, before) ? before : undefined;
}

/** Returns true on a host with a Neuron driver; on any other host no process is looked at. */
export function hasNeuronDevices({ sysRoot, devRoot }: Host): boolean {
  const paths = [join(sysRoot, 'class/neuron_device'), join(sysRoot, 'devices/virtual/neuron_device'), join(devRoot, 'neuron0')];
  return paths.some((path) => existsSync(path));
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

/** Matches `/dev/neuron0`, also under the injected root of devices, also when the node was removed since. */
function devicePattern(host: Host): RegExp {
  const root = host.devRoot.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`(?:^|\\s)(?:/dev|${root})/neuron\\d+(?: \\(deleted\\))?$`, 'm');
}
