import { FACT_GROUPS, RUNTIME_GROUPS, SYSTEM_GROUPS } from '../src/readings.ts';
import type { RuntimeGroup, SystemGroup } from '../src/readings.ts';
import { isNull } from './document.ts';
import type { DocumentNode, MapNode } from './document.ts';
import type { Environment } from './environment.ts';
import { itemPath, memberPath, quote, ROOT } from './problems.ts';
import type { Problems } from './problems.ts';
import { GROUP_SECTION, ROOT_SECTION, RUNTIME_SECTION } from './schema.ts';
import { SectionReader } from './section.ts';
import { didYouMean } from './suggest.ts';

/**
 * Names of neuron-monitor's files before 2.0, and what took their place (user guide of the first beta, September 2020, and of Neuron
 * Runtime 1.x).
 */
export const LEGACY_KEYS: ReadonlyMap<string, string> = new Map([
  ['runtimes', 'neuron_runtimes'],
  ['output_targets', 'exporters'],
]);

export const LEGACY_GROUPS: ReadonlyMap<string, string> = new Map([
  ['nc_counters', 'neuroncore_counters'],
  ['memory', 'memory_used'],
  ['runtime_cpu_usage', 'neuron_runtime_vcpu_usage'],
  ['inference_stats', 'execution_stats'],
  ['hw_counters', 'neuron_hw_counters'],
  ['cpu_usage', 'vcpu_usage'],
]);

export interface GroupSettings {
  readonly periodMs: number;
}

/** The groups that are collected of the Neuron processes whose tag the filter finds; of all processes when there is no filter. */
export interface RuntimeEntry {
  readonly tagFilter?: string;
  readonly groups: Readonly<Partial<Record<RuntimeGroup, GroupSettings>>>;
}

/** neuron-monitor's choice of metric groups, with periods handed down from root to entry to group. */
export interface Collection {
  /** The first entry whose filter finds a process's tag counts. */
  readonly runtimes: readonly RuntimeEntry[];
  readonly systemGroups: Readonly<Partial<Record<SystemGroup, GroupSettings>>>;
  readonly periodMs: number;
}

export const NEURON_MONITOR_KEYS = ['period', 'neuron_runtimes', 'system_metrics'] as const;

/**
 * Gives neuron-monitor's file its meaning (neuron-monitor user guide, "Using neuron-monitor"). Periods go down from root to entry to
 * group. A file with one of the two lists means exactly what it lists: to a Go program, which neuron-monitor is, a list that is not there is
 * an empty one. With neither, everything is collected, `neuron_hw_counters` included, which neuron-monitor leaves out by default.
 * `neuron_device_counters` is no group of neuron-monitor's: where it is not listed, it comes with `neuron_hw_counters`.
 */
export function readNeuronMonitor(root: MapNode, environment: Environment, problems: Problems): Collection {
  const period = root.entries.get('period');
  const rootKeys: MapNode = { ...root, entries: new Map(period === undefined ? [] : [['period', period]]) };
  const context: Context = { environment, problems };
  const periodMs = new SectionReader(rootKeys, { path: ROOT, ...context }).read(ROOT_SECTION).period;
  const lists = {
    runtimes: root.entries.get('neuron_runtimes') ?? root.entries.get('runtimes'),
    system: root.entries.get('system_metrics'),
  };
  if (lists.runtimes === undefined && lists.system === undefined) return everything(periodMs);
  const runtimesPath = root.entries.has('neuron_runtimes') ? 'neuron_runtimes' : 'runtimes';
  const runtimes = itemsOf(lists.runtimes, runtimesPath, problems).map(([node, path]) => readRuntime(node, path, periodMs, context));
  warnAboutUnreachable(runtimes, runtimesPath, problems);
  return {
    runtimes,
    systemGroups: withDevices(readGroups(lists.system, 'system_metrics', { kind: 'system', periodMs, ...context })),
    periodMs,
  };
}

/** The choice of a file without any list. */
function everything(periodMs: number): Collection {
  const all = <G extends string>(groups: readonly G[]) => fromGroups(groups.map((group) => [group, { periodMs }] as const));
  return { runtimes: [{ groups: all(RUNTIME_GROUPS) }], systemGroups: all(SYSTEM_GROUPS), periodMs };
}

function withDevices(groups: Collection['systemGroups']): Collection['systemGroups'] {
  const { neuron_hw_counters: hardware } = groups;
  return hardware === undefined ? groups : { neuron_device_counters: hardware, ...groups };
}

interface Context {
  readonly environment: Environment;
  readonly problems: Problems;
}

function readRuntime(node: DocumentNode, path: string, inheritedMs: number, context: Context): RuntimeEntry {
  const { problems } = context;
  if (node.kind !== 'map') {
    problems.error(path, 'is not a map', node.at);
    return { groups: {} };
  }
  const address = node.entries.get('address');
  if (address !== undefined) {
    problems.error(
      memberPath(path, 'address'),
      'belongs to Neuron Runtime 1; processes are chosen by "tag_filter" now',
      node.keyPositions.get('address'),
    );
  }
  const settings = new SectionReader(node, { path, ...context, others: ['metrics', 'address'] }).read(RUNTIME_SECTION);
  const metrics = node.entries.get('metrics');
  if (metrics === undefined) problems.warn(path, 'lists no metrics: nothing is collected from the processes it matches', node.at);
  const groups = readGroups(metrics, memberPath(path, 'metrics'), {
    kind: 'runtime',
    periodMs: settings.period ?? inheritedMs,
    ...context,
  });
  return { ...(settings.tag_filter === null ? {} : { tagFilter: settings.tag_filter }), groups };
}

interface GroupList<K extends 'runtime' | 'system'> extends Context {
  readonly kind: K;
  readonly periodMs: number;
}

function readGroups(node: DocumentNode | undefined, path: string, list: GroupList<'runtime'>): RuntimeEntry['groups'];
function readGroups(node: DocumentNode | undefined, path: string, list: GroupList<'system'>): Collection['systemGroups'];
function readGroups(node: DocumentNode | undefined, path: string, list: GroupList<'runtime' | 'system'>): Record<string, GroupSettings> {
  const { kind, periodMs, problems } = list;
  const groups: Record<string, GroupSettings> = {};
  for (const [item, itsPath] of itemsOf(node, path, problems)) {
    if (item.kind !== 'map') {
      problems.error(itsPath, 'is not a map such as {"type": "memory_used"}', item.at);
      continue;
    }
    const group = readType(item, itsPath, kind, problems);
    const settings = new SectionReader(item, { path: itsPath, ...list, others: ['type'] }).read(GROUP_SECTION);
    if (group === undefined) continue;
    if (Object.hasOwn(groups, group)) problems.warn(itsPath, `lists ${quote(group)} again; the first one counts`, item.at);
    else groups[group] = { periodMs: settings.period ?? periodMs };
  }
  return groups;
}

function readType(item: MapNode, path: string, kind: 'runtime' | 'system', problems: Problems): string | undefined {
  const node = item.entries.get('type');
  const typePath = memberPath(path, 'type');
  if (node?.kind !== 'scalar' || typeof node.value !== 'string') {
    problems.error(typePath, node === undefined ? 'is missing' : 'is not the name of a metric group', node?.at ?? item.at);
    return undefined;
  }
  const known: readonly string[] = kind === 'runtime' ? RUNTIME_GROUPS : SYSTEM_GROUPS;
  if (known.includes(node.value)) return node.value;
  if (node.value === 'self_stats' && kind === 'system') {
    problems.warn(
      typePath,
      '"self_stats" is not collected; the agent exports metrics of its own instead (telemetry.self_metrics)',
      node.at,
    );
  } else {
    problems.error(typePath, refusal(node.value, kind, known), node.at);
  }
  return undefined;
}

function refusal(name: string, kind: 'runtime' | 'system', known: readonly string[]): string {
  const successor = LEGACY_GROUPS.get(name);
  const all: readonly string[] = [...RUNTIME_GROUPS, ...SYSTEM_GROUPS];
  if (successor !== undefined) return `${quote(name)} is the old name of ${quote(successor)}, which belongs to ${listOf(successor)}`;
  if (all.includes(name)) return `${quote(name)} belongs to ${listOf(name)}`;
  const fact = (FACT_GROUPS as readonly string[]).includes(name)
    ? '; it is part of every report and needs no entry'
    : didYouMean(name, all);
  return `${quote(name)} is not a metric group of ${kind === 'runtime' ? 'a runtime' : 'the system'}: ${known.join(', ')}${fact}`;
}

function listOf(group: string): string {
  return (RUNTIME_GROUPS as readonly string[]).includes(group) ? 'neuron_runtimes[].metrics' : 'system_metrics';
}

function itemsOf(node: DocumentNode | undefined, path: string, problems: Problems): (readonly [DocumentNode, string])[] {
  if (node === undefined || isNull(node)) return [];
  if (node.kind !== 'list') {
    problems.error(path, 'is not a list', node.at);
    return [];
  }
  return node.items.flatMap((item, index) => (item === undefined ? [] : [[item, itemPath(path, index)] as const]));
}

function warnAboutUnreachable(runtimes: readonly RuntimeEntry[], path: string, problems: Problems): void {
  const last = runtimes.findIndex(({ tagFilter }) => tagFilter === undefined || /^(\^|\$|\^?\.\*\$?)?$/.test(tagFilter));
  if (last < 0 || last === runtimes.length - 1) return;
  problems.warn(itemPath(path, last + 1), `is never reached: ${itemPath(path, last)} takes every process`);
}

function fromGroups<G extends string>(entries: readonly (readonly [G, GroupSettings])[]): Partial<Record<G, GroupSettings>> {
  const groups: Partial<Record<G, GroupSettings>> = {};
  for (const [group, settings] of entries) groups[group] = settings;
  return groups;
}
