import { FILES, OUTCOMES, rowOf } from './files.ts';
import type { CoreFile, FactFile, FoundRow, HealthFile } from './files.ts';
import { nodeFile } from './node-file.ts';
import type { NodeFile } from './node-file.ts';
import type { FoundEntry } from './walk.ts';

/** `NamedFiles` keeps files by name, in the order they were found: two lists, because a cycle goes through thousands of them. */
export class NamedFiles {
  readonly names: string[] = [];
  readonly files: NodeFile[] = [];

  get(name: string): NodeFile | undefined {
    return this.files[this.names.indexOf(name)];
  }

  has(name: string): boolean {
    return this.names.includes(name);
  }

  /** The first file of a name counts. */
  add(name: string, path: string): void {
    if (this.has(name)) return;
    this.names.push(name);
    this.files.push(nodeFile(path));
  }
}

/** Memory of a core or of the host. `all` is the total over all kinds; the first drivers have nothing else. */
export interface MemoryFiles {
  all: NodeFile | undefined;
  readonly kinds: NamedFiles;
  readonly peaks: NamedFiles;
}

export interface CoreFiles {
  readonly memory: MemoryFiles;
  readonly status: NamedFiles;
  /** The status counters that count how executions ended. */
  outcomes: readonly OutcomeFile[];
  readonly other: Partial<Record<CoreFile, NodeFile>>;
}

export interface OutcomeFile {
  readonly outcome: string;
  /** Name of the status counter. */
  readonly counter: string;
  readonly file: NodeFile;
}

/** `Inventory` holds the files of one device that the agent reads, by their rows of the table. */
export interface Inventory {
  readonly cores: ReadonlyMap<number, CoreFiles>;
  readonly hostMemory: MemoryFiles;
  readonly ecc: NamedFiles;
  readonly health: Map<HealthFile, NodeFile>;
  readonly facts: Map<FactFile, NodeFile>;
  readonly power: NodeFile | undefined;
  /** Links, pipes and folders where the table has a file, or links where the tree has folders: they are not followed and not read. */
  readonly irregular: readonly string[];
}

/** Files that are read only for metrics that are switched on. */
export interface SysfsDetail {
  /** High-water marks of memory. */
  readonly peaks: boolean;
  /** All status counters of every core, not only the outcomes of executions. */
  readonly events: boolean;
}

/** No known device has more than eight. */
const MAX_CORES = 64;
const OUTCOME_COUNTERS: ReadonlySet<string> = new Set(OUTCOMES.map(([, counter]) => counter));
/** Counters of a core are folders, so a folder of these names is as it should be. */
const FOLDERS: ReadonlySet<string> = new Set<string>(FILES.flatMap(({ file, where }) => (where.startsWith('core') ? [file] : [])));
/** Folders that lead to files of the table. A device links to other things, such as `subsystem`, and those are not looked at. */
const KNOWN_FOLDER =
  /^(?:neuron_core\d{1,4}|stats|info|status|other_info|memory_usage|device_mem|host_mem|hardware|health_status|architecture)$/;

/** Sorts the files that a search found. Of two files with one row the first in the order of the search counts. */
export function takeInventory(entries: readonly FoundEntry[], detail: SysfsDetail): Inventory {
  const cores = new Map<number, CoreFiles>();
  const device = { hostMemory: noMemory(), ecc: new NamedFiles(), health: new Map(), facts: new Map() };
  const irregular: string[] = [];
  let power: NodeFile | undefined;
  for (const { path, directories, name, kind } of entries) {
    const row = rowOf(directories, name);
    if (kind === 'file' && row !== undefined && isWanted(row, detail)) {
      if (row.where === 'power') power ??= nodeFile(path);
      else if ('core' in row) addToCore(cores, row, path);
      else addToDevice(device, row, path);
    } else if (kind !== 'file' && isIrregular(name, kind, row)) irregular.push(path);
  }
  for (const core of cores.values()) core.outcomes = outcomesOf(core.status);
  return { cores, ...device, power, irregular };
}

function isIrregular(name: string, kind: FoundEntry['kind'], row: FoundRow | undefined): boolean {
  if (kind === 'folder') return row !== undefined && !FOLDERS.has(name) && row.where !== 'core status';
  return row !== undefined || KNOWN_FOLDER.test(name);
}

function outcomesOf(status: NamedFiles): readonly OutcomeFile[] {
  return OUTCOMES.flatMap(([outcome, counter]) => {
    const file = status.get(counter);
    return file === undefined ? [] : [{ outcome, counter, file }];
  });
}

function isWanted(row: FoundRow, { peaks, events }: SysfsDetail): boolean {
  if (row.where === 'core status') return events || OUTCOME_COUNTERS.has(row.counter);
  return peaks || !('leaf' in row) || row.leaf !== 'peak';
}

export function allFiles({ cores, hostMemory, ecc, health, facts, power }: Inventory): readonly NodeFile[] {
  return [
    ...[...cores.values()].flatMap(({ memory, status, other }) => [...memoryFiles(memory), ...status.files, ...Object.values(other)]),
    ...memoryFiles(hostMemory),
    ...ecc.files,
    ...health.values(),
    ...facts.values(),
    ...(power === undefined ? [] : [power]),
  ];
}

function memoryFiles(memory: MemoryFiles): readonly NodeFile[] {
  return [...memory.kinds.files, ...memory.peaks.files, ...(memory.all === undefined ? [] : [memory.all])];
}

function addToCore(cores: Map<number, CoreFiles>, row: Extract<FoundRow, { readonly core: number }>, path: string): void {
  let core = cores.get(row.core);
  if (core === undefined) {
    if (cores.size >= MAX_CORES) return;
    core = { memory: noMemory(), status: new NamedFiles(), outcomes: [], other: {} };
    cores.set(row.core, core);
  }
  if (row.where === 'core memory') addMemory(core.memory, row, path);
  else if (row.where === 'core status') core.status.add(row.counter, path);
  else core.other[row.file] ??= nodeFile(path);
}

function addToDevice(
  device: Pick<Inventory, 'hostMemory' | 'ecc' | 'health' | 'facts'>,
  row: Exclude<FoundRow, { readonly core: number } | { readonly where: 'power' }>,
  path: string,
): void {
  switch (row.where) {
    case 'host memory':
      addMemory(device.hostMemory, row, path);
      return;
    case 'ecc':
      device.ecc.add(row.file, path);
      return;
    case 'health':
      if (!device.health.has(row.file)) device.health.set(row.file, nodeFile(path));
      return;
    case 'fact':
      if (!device.facts.has(row.file)) device.facts.set(row.file, nodeFile(path));
      return;
  }
}

function addMemory(memory: MemoryFiles, row: { readonly leaf: 'total' | 'peak'; readonly kind: string | undefined }, path: string): void {
  if (row.kind !== undefined) (row.leaf === 'peak' ? memory.peaks : memory.kinds).add(row.kind, path);
  else if (row.leaf === 'total') memory.all ??= nodeFile(path);
}

function noMemory(): MemoryFiles {
  return { all: undefined, kinds: new NamedFiles(), peaks: new NamedFiles() };
}
