import { isJsonObject } from '../../src/json-object.ts';
import type { JsonObject } from '../../src/json-object.ts';
import { RUNTIME_GROUPS, SYSTEM_GROUPS } from '../../src/readings.ts';
import type { Report } from '../../src/report.ts';
import type { Selection } from '../../src/selection.ts';
import type { StreamLine } from '../../src/source.ts';

declare global {
  /** In Node since release 21 (V8 11.4), in TypeScript's library not yet. */
  interface JSON {
    rawJSON(text: string): object;
    parse(text: string, reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown): unknown;
  }
}

const RUNTIME_GROUP_NAMES: ReadonlySet<string> = new Set(RUNTIME_GROUPS);
const SYSTEM_GROUP_NAMES: ReadonlySet<string> = new Set(SYSTEM_GROUPS);
/** A number that a double may not hold: an integer of sixteen digits, or an exponent of three. Decimal places are not meant. */
const WIDE_NUMBER = /(?<=[:[,\s])-?(?:\d{16}|\d+(?:\.\d+)?[eE]\+?\d{3})/;

/**
 * The report of one line of a stream, without the processes and groups that the configuration does not select. Members that the agent
 * does not know stay, and so do facts. The line itself is part of the report when nothing had to go: then its bytes are the output.
 */
export function reportFromLine(line: StreamLine, selection: Pick<Selection, 'runtimeGroups' | 'systemGroups'>): Report {
  const document = withoutUnselected(line.document, selection);
  if (document === line.document) return { document, line };
  const exact = exactDocument(line);
  return { document: exact === line.document ? document : withoutUnselected(exact, selection) };
}

/** The document with numbers that JavaScript would round kept as the text that they are. Costs a second parse, so only where there is one. */
function exactDocument({ bytes, document }: StreamLine): JsonObject {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  if (!WIDE_NUMBER.test(text)) return document;
  const exact = JSON.parse(text, exactValue);
  return isJsonObject(exact) ? exact : document;
}

/** A member named `__proto__` is left out here as it is when the line is parsed first. */
function exactValue(name: string, value: unknown, context: { readonly source?: string }): unknown {
  if (name === '__proto__') return undefined;
  const isRounded = typeof value === 'number' && !(Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value)));
  return isRounded && context.source !== undefined ? JSON.rawJSON(context.source) : value;
}

/** The document itself when all of it is selected; the input is never changed. */
function withoutUnselected(document: JsonObject, selection: Pick<Selection, 'runtimeGroups' | 'systemGroups'>): JsonObject {
  const runtimes = filterRuntimes(document['neuron_runtime_data'], selection);
  const system = filterSystem(document['system_data'], selection);
  if (runtimes === undefined && system === undefined) return document;
  return {
    ...document,
    ...(runtimes === undefined ? {} : { neuron_runtime_data: runtimes }),
    ...(system === undefined ? {} : { system_data: system.data }),
  };
}

/** `undefined` when every entry stays as it is. The selection cannot judge an entry that is no process: it stays. */
function filterRuntimes(entries: unknown, selection: Pick<Selection, 'runtimeGroups'>): readonly unknown[] | undefined {
  if (!Array.isArray(entries)) return undefined;
  const before: readonly unknown[] = entries;
  const kept = before.flatMap((entry) => filterRuntime(entry, selection));
  return kept.length === before.length && kept.every((entry, index) => entry === before[index]) ? undefined : kept;
}

function filterRuntime(entry: unknown, selection: Pick<Selection, 'runtimeGroups'>): readonly unknown[] {
  if (!isJsonObject(entry) || typeof entry['pid'] !== 'number') return [entry];
  const tag = typeof entry['neuron_runtime_tag'] === 'string' ? entry['neuron_runtime_tag'] : '';
  const groups: ReadonlySet<string> | undefined = selection.runtimeGroups({ pid: entry['pid'], tag });
  if (groups === undefined) return [];
  const report = isJsonObject(entry['report']) ? without(entry['report'], RUNTIME_GROUP_NAMES, groups) : undefined;
  return [report === undefined ? entry : { ...entry, report }];
}

/** neuron-monitor prints null when no system group is configured. */
function filterSystem(data: unknown, selection: Pick<Selection, 'systemGroups'>): { readonly data: JsonObject | null } | undefined {
  if (!isJsonObject(data)) return undefined;
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
