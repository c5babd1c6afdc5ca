import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../src/readings.ts';
import type { Selection } from '../../src/selection.ts';
import { isObject } from './json-object.ts';
import type { JsonObject } from './json-object.ts';

const RUNTIME_GROUP_NAMES: ReadonlySet<string> = new Set(RUNTIME_GROUPS);
const SYSTEM_GROUP_NAMES: ReadonlySet<string> = new Set(SYSTEM_GROUPS);

export interface FilteredDocument {
  readonly document: JsonObject;
  /** True when something was left out: then the line cannot be passed on as it came. */
  readonly removed: boolean;
}

/**
 * A document without the processes and groups the configuration does not select. Members that are not known stay, facts stay.
 * The input is not changed; it is returned itself when nothing has to go.
 */
export function filterDocument(document: JsonObject, selection: Pick<Selection, 'runtimeGroups' | 'systemGroups'>): FilteredDocument {
  const runtimes = filterRuntimes(document['neuron_runtime_data'], selection);
  const system = filterSystem(document['system_data'], selection);
  if (runtimes === undefined && system === undefined) return { document, removed: false };
  return {
    document: {
      ...document,
      ...(runtimes === undefined ? {} : { neuron_runtime_data: runtimes }),
      ...(system === undefined ? {} : { system_data: system.data }),
    },
    removed: true,
  };
}

/** `undefined` when every entry stays as it is. An entry that cannot be told apart is not the selection's to judge: it stays. */
function filterRuntimes(entries: unknown, selection: Pick<Selection, 'runtimeGroups'>): readonly unknown[] | undefined {
  if (!Array.isArray(entries)) return undefined;
  const before: readonly unknown[] = entries;
  const kept = before.flatMap((entry) => filterRuntime(entry, selection));
  return kept.length === before.length && kept.every((entry, index) => entry === before[index]) ? undefined : kept;
}

function filterRuntime(entry: unknown, selection: Pick<Selection, 'runtimeGroups'>): readonly unknown[] {
  if (!isObject(entry) || typeof entry['pid'] !== 'number') return [entry];
  const tag = typeof entry['neuron_runtime_tag'] === 'string' ? entry['neuron_runtime_tag'] : '';
  const groups: ReadonlySet<string> | undefined = selection.runtimeGroups({ pid: entry['pid'], tag });
  if (groups === undefined) return [];
  const report = isObject(entry['report']) ? without(entry['report'], RUNTIME_GROUP_NAMES, groups) : undefined;
  return [report === undefined ? entry : { ...entry, report }];
}

/** neuron-monitor prints null when no system group is configured. */
function filterSystem(data: unknown, selection: Pick<Selection, 'systemGroups'>): { readonly data: JsonObject | null } | undefined {
  if (!isObject(data)) return undefined;
  const kept = without(data, SYSTEM_GROUP_NAMES, selection.systemGroups);
  if (kept === undefined) return undefined;
  return { data: selection.systemGroups.size === 0 && Object.keys(kept).length === 0 ? null : kept };
}

/** The object without known groups that are not wanted; `undefined` when it has none of them. */
function without(object: JsonObject, known: ReadonlySet<string>, wanted: ReadonlySet<string>): JsonObject | undefined {
  const entries = Object.entries(object);
  const kept = entries.filter(([name]) => !known.has(name) || wanted.has(name));
  return kept.length === entries.length ? undefined : Object.fromEntries(kept);
}
