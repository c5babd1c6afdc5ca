import { NamedFiles } from './named-files.ts';
import { nodeFile } from './node-file.ts';
import type { NodeFile } from './node-file.ts';
import { OUTCOMES, roleOf } from './roles.ts';
import type { FactNode, HealthNode, NodeRole, OtherCounter } from './roles.ts';
import type { FoundFile } from './walk.ts';

/** Memory in one place. `all` is the total over all kinds; the first drivers have nothing else. */
export interface MemoryNodes {
  all: NodeFile | undefined;
  readonly kinds: NamedFiles;
  readonly peaks: NamedFiles;
}

export interface CoreNodes {
  readonly memory: MemoryNodes;
  readonly status: NamedFiles;
  /** Those status counters that say how executions ended. */
  outcomes: readonly OutcomeFile[];
  readonly other: Partial<Record<OtherCounter, NodeFile>>;
  architecture: NodeFile | undefined;
}

export interface OutcomeFile {
  readonly outcome: string;
  /** Name of the status counter. */
  readonly name: string;
  readonly file: NodeFile;
}

/** Files of one device that the agent can read, by what they mean. */
export interface Inventory {
  readonly cores: ReadonlyMap<number, CoreNodes>;
  readonly hostMemory: MemoryNodes;
  readonly ecc: NamedFiles;
  readonly health: Map<HealthNode, NodeFile>;
  readonly facts: Map<FactNode, NodeFile>;
  readonly power: NodeFile | undefined;
}

/** Files that are read only when somebody wants them. */
export interface SysfsDetail {
  /** High-water marks of memory. */
  readonly peaks: boolean;
  /** All status counters of every core, not only the outcomes of executions. */
  readonly events: boolean;
}

/** No known device has more than eight. */
const MAX_CORES = 64;
const OUTCOME_COUNTERS: ReadonlySet<string> = new Set(OUTCOMES.map(([, name]) => name));

/** Where two files mean the same, the first in the order of the walk counts. Files that nobody wants are left out. */
export function takeInventory(files: readonly FoundFile[], detail: SysfsDetail): Inventory {
  const cores = new Map<number, CoreNodes>();
  const device = { hostMemory: noMemory(), ecc: new NamedFiles(), health: new Map(), facts: new Map() };
  let power: NodeFile | undefined;
  for (const file of files) {
    const role = roleOf(file.directories, file.name);
    if (role === undefined || !isWanted(role, detail)) continue;
    if (role.role === 'power') power ??= nodeFile(file.path);
    else if ('core' in role) placeInCore(cores, role, file.path);
    else placeInDevice(device, role, file.path);
  }
  for (const core of cores.values()) core.outcomes = outcomesOf(core.status);
  return { cores, ...device, power };
}

function outcomesOf(status: NamedFiles): readonly OutcomeFile[] {
  return OUTCOMES.flatMap(([outcome, name]) => {
    const file = status.get(name);
    return file === undefined ? [] : [{ outcome, name, file }];
  });
}

function isWanted(role: NodeRole, { peaks, events }: SysfsDetail): boolean {
  if (role.role === 'status') return events || OUTCOME_COUNTERS.has(role.name);
  return peaks || !('leaf' in role) || role.leaf !== 'peak';
}

export function allFiles(inventory: Inventory): readonly NodeFile[] {
  const { cores, hostMemory, ecc, health, facts, power } = inventory;
  return [
    ...[...cores.values()].flatMap(coreFiles),
    ...memoryFiles(hostMemory),
    ...ecc.files,
    ...health.values(),
    ...facts.values(),
    ...(power === undefined ? [] : [power]),
  ];
}

function coreFiles({ memory, status, other, architecture }: CoreNodes): readonly NodeFile[] {
  return [...memoryFiles(memory), ...status.files, ...Object.values(other), ...(architecture === undefined ? [] : [architecture])];
}

function memoryFiles(memory: MemoryNodes): readonly NodeFile[] {
  return [...memory.kinds.files, ...memory.peaks.files, ...(memory.all === undefined ? [] : [memory.all])];
}

function placeInCore(cores: Map<number, CoreNodes>, role: Extract<NodeRole, { readonly core: number }>, path: string): void {
  let core = cores.get(role.core);
  if (core === undefined) {
    if (cores.size >= MAX_CORES) return;
    core = { memory: noMemory(), status: new NamedFiles(), outcomes: [], other: {}, architecture: undefined };
    cores.set(role.core, core);
  }
  if (role.role === 'core_architecture') core.architecture ??= nodeFile(path);
  else if (role.role === 'device_memory') placeMemory(core.memory, role, path);
  else if (role.role === 'status') core.status.place(role.name, path);
  else core.other[role.name] ??= nodeFile(path);
}

function placeInDevice(
  device: Pick<Inventory, 'hostMemory' | 'ecc' | 'health' | 'facts'>,
  role: Exclude<NodeRole, { readonly core: number } | { readonly role: 'power' }>,
  path: string,
): void {
  switch (role.role) {
    case 'host_memory':
      placeMemory(device.hostMemory, role, path);
      return;
    case 'ecc':
      device.ecc.place(role.name, path);
      return;
    case 'health':
      place(device.health, role.name, path);
      return;
    case 'fact':
      place(device.facts, role.name, path);
      return;
  }
}

function placeMemory(
  memory: MemoryNodes,
  role: { readonly leaf: 'total' | 'peak'; readonly kind: string | undefined },
  path: string,
): void {
  if (role.kind !== undefined) (role.leaf === 'peak' ? memory.peaks : memory.kinds).place(role.kind, path);
  else if (role.leaf === 'total') memory.all ??= nodeFile(path);
}

function place<K>(files: Map<K, NodeFile>, key: K, path: string): void {
  if (!files.has(key)) files.set(key, nodeFile(path));
}

function noMemory(): MemoryNodes {
  return { all: undefined, kinds: new NamedFiles(), peaks: new NamedFiles() };
}
