import { FACT_GROUPS, RUNTIME_GROUPS, SYSTEM_GROUPS } from '../src/readings.ts';
import type { SystemGroup } from '../src/readings.ts';
import type { GroupSettings, RuntimeEntry } from './agent-config.ts';
import type { DocumentNode, MapNode } from './document.ts';
import { LEGACY_GROUPS } from './legacy-names.ts';
import { itemPath, memberPath, quote, ROOT } from './problems.ts';
import type { Problems } from './problems.ts';
import { groupSchema, rootSchema, runtimeSchema } from './schema.ts';
import { readSection } from './section.ts';
import { didYouMean } from './suggest.ts';

/** neuron-monitor's own part of the configuration. */
export interface Collection {
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
export function readNeuronMonitor(root: MapNode, defaultPeriodMs: number, problems: Problems): Collection {
  const period = root.entries.get('period');
  const rootKeys: MapNode = { ...root, entries: new Map(period === undefined ? [] : [['period', period]]) };
  const periodMs = readSection(rootSchema, rootKeys, { path: ROOT, problems }).period ?? defaultPeriodMs;
  const lists = {
    runtimes: root.entries.get('neuron_runtimes') ?? root.entries.get('runtimes'),
    system: root.entries.get('system_metrics'),
  };
  if (lists.runtimes === undefined && lists.system === undefined) return everything(periodMs);
  const runtimesPath = root.entries.has('neuron_runtimes') ? 'neuron_runtimes' : 'runtimes';
  const runtimes = itemsOf(lists.runtimes, runtimesPath, problems).map(([node, path]) => readRuntime(node, path, periodMs, problems));
  warnAboutUnreachable(runtimes, runtimesPath, problems);
  return {
    runtimes,
    systemGroups: withDevices(readGroups(lists.system, 'system_metrics', { kind: 'system', periodMs, problems })),
    periodMs,
  };
}

/** What is collected when nobody says what. */
export function everything(periodMs: number): Collection {
  const all = <G extends string>(groups: readonly G[]) => fromGroups(groups.map((group) => [group, { periodMs }] as const));
  return { runtimes: [{ groups: all(RUNTIME_GROUPS) }], systemGroups: all(SYSTEM_GROUPS), periodMs };
}

function withDevices(groups: Collection['systemGroups']): Collection['systemGroups'] {
  const { neuron_hw_counters: hardware } = groups;
  return hardware === undefined ? groups : { neuron_device_counters: hardware, ...groups };
}

function readRuntime(node: DocumentNode, path: string, inheritedMs: number, problems: Problems): RuntimeEntry {
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
  const settings = readSection(runtimeSchema, node, { path, problems, others: ['metrics', 'address'] });
  const metrics = node.entries.get('metrics');
  if (metrics === undefined) problems.warn(path, 'lists no metrics: nothing is collected from the processes it matches', node.at);
  const groups = readGroups(metrics, memberPath(path, 'metrics'), { kind: 'runtime', periodMs: settings.period ?? inheritedMs, problems });
  return { ...(settings.tag_filter === null ? {} : { tagFilter: settings.tag_filter }), groups };
}

interface GroupList<K extends 'runtime' | 'system'> {
  readonly kind: K;
  readonly periodMs: number;
  readonly problems: Problems;
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
    const settings = readSection(groupSchema, item, { path: itsPath, problems, others: ['type'] });
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
  if (node === undefined || (node.kind === 'scalar' && node.value === null)) return [];
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
