import convict from 'convict';
import { plainValue } from './document.ts';
import type { DocumentNode, MapNode } from './document.ts';
import type { Variable } from './environment.ts';
import { flagName } from './flags.ts';
import { formatOf, registerFormats } from './formats.ts';
import { isLeaf, leavesOf } from './leaf.ts';
import type { Leaf } from './leaf.ts';
import { memberPath, quote, ROOT } from './problems.ts';
import type { Problems } from './problems.ts';
import { didYouMean } from './suggest.ts';

registerFormats();

export interface SectionOptions {
  /** Path of the section in the file. */
  readonly path: string;
  readonly problems: Problems;
  readonly variables?: ReadonlyMap<string, Variable>;
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Keys that somebody else reads. */
  readonly others?: readonly string[];
}

/**
 * Reads one section through convict: defaults, file, variables, flags, each over the one before. Problems keep their exact place;
 * a key with a problem has its default in the result.
 */
export function readSection<T>(schema: convict.Schema<T>, node: MapNode | undefined, options: SectionOptions): T {
  const places = new Map<string, DocumentNode>();
  const fromFile = node === undefined ? {} : readMap(schema, node, options, '', places);
  // Over an open type parameter convict's path types recurse without end and the compiler never returns.
  const open = schema as object as convict.Schema<Record<string, unknown>>;
  const config = convict(open, { env: textsOf(options.variables), args: [] });
  config.load(fromFile);
  const flags = options.flags ?? {};
  for (const [path, leaf] of leavesOf(schema)) {
    const flag = leaf.arg === undefined ? undefined : flags[leaf.arg];
    if (flag !== undefined) config.set(path, flag);
  }
  const values: unknown = config.getProperties();
  for (const [path, leaf] of leavesOf(schema)) {
    if (!check(path, leaf, valueAt(values, path), places.get(path), options)) config.set(path, leaf.default);
  }
  // convict's own word comes last: it joins all errors into one text without places, so the formats were asked one by one before.
  try {
    config.validate({ allowed: 'strict' });
  } catch {
    options.problems.error(options.path, 'does not fit the schema');
  }
  return config.getProperties() as object as T;
}

/** Takes the known keys of a map in the form convict loads; the others are problems. */
function readMap(schema: object, node: MapNode, options: SectionOptions, prefix: string, places: Map<string, DocumentNode>): object {
  const values: Record<string, unknown> = {};
  const definitions = new Map<string, unknown>(Object.entries(schema));
  for (const [key, child] of node.entries) {
    const path = joined(options.path, `${prefix}${key}`);
    const definition = definitions.get(key);
    if (definition === undefined) {
      if (prefix === '' && options.others?.includes(key) === true) continue;
      const names = [...definitions.keys(), ...(prefix === '' ? (options.others ?? []) : [])];
      const parent = prefix === '' ? options.path : joined(options.path, prefix.slice(0, -1));
      options.problems.error(memberPath(parent, key), `is not a known key${didYouMean(key, names)}`, node.keyPositions.get(key));
    } else if (isLeaf(definition)) {
      const value = readLiteral(definition, child, path, options.problems);
      if (value === undefined) continue;
      values[key] = value;
      places.set(`${prefix}${key}`, child);
    } else if (child.kind === 'map' && typeof definition === 'object' && definition !== null) {
      values[key] = readMap(definition, child, options, `${prefix}${key}.`, places);
    } else if (!isNull(child)) {
      options.problems.error(path, 'is not a map', child.at);
    }
  }
  return values;
}

function readLiteral(leaf: Leaf, node: DocumentNode, path: string, problems: Problems): unknown {
  const format = formatOf(leaf);
  if (isNull(node)) {
    if (leaf.nullable !== true && !format.literals.includes('map')) problems.error(path, 'has no value', node.at);
    return undefined;
  }
  const kind = kindOf(node);
  const isText =
    node.kind === 'scalar' && node.expression !== undefined && !format.literals.includes('list') && !format.literals.includes('map');
  if (!isText && !format.literals.some((literal) => literal === kind)) {
    const reason =
      leaf.format === 'duration' && kind === 'number' ? `has no unit; write "${String(plainValue(node))}s"` : `is not ${format.expects}`;
    problems.error(path, `${shown(leaf, node)} ${reason}`, node.at);
    return undefined;
  }
  return node.kind === 'map' ? [...node.entries].map(([key, value]) => [key, plainValue(value)]) : plainValue(node);
}

/** Asks the format; returns whether the value may stay. */
function check(path: string, leaf: Leaf, value: unknown, node: DocumentNode | undefined, options: SectionOptions): boolean {
  if (value === null && leaf.nullable === true) return true;
  const format = formatOf(leaf);
  const origin = originOf(path, leaf, options);
  let good = true;
  for (const [key, member] of format.checkEntry === undefined ? [] : pairsOf(value)) {
    const reason = format.checkEntry?.(key, member);
    if (reason === undefined) continue;
    good = false;
    options.problems.error(memberPath(origin, key), reason, node?.kind === 'map' ? node.entries.get(key)?.at : undefined);
  }
  const reason = good ? format.check(value, leaf) : undefined;
  if (reason === undefined) return good;
  const subject =
    origin === joined(options.path, path) && node !== undefined ? shown(leaf, node) : leaf.sensitive === true ? 'the value' : quote(value);
  options.problems.error(origin, `${subject} ${reason}`, node?.at);
  return false;
}

/** Where the value in force came from: a flag, a variable, or the file. */
function originOf(path: string, leaf: Leaf, options: SectionOptions): string {
  if (leaf.arg !== undefined && options.flags?.[leaf.arg] !== undefined) return flagName(leaf.arg);
  const variable = leaf.env === undefined ? undefined : options.variables?.get(leaf.env);
  return variable?.name ?? joined(options.path, path);
}

/** The value as the file says it; what a `${…}` stood for is never shown. */
function shown(leaf: Leaf, node: DocumentNode): string {
  if (node.kind === 'list') return 'a list';
  if (node.kind === 'map') return 'a map';
  if (node.expression !== undefined) return quote(node.expression);
  return leaf.sensitive === true ? 'the value' : quote(node.value);
}

function kindOf(node: DocumentNode): string {
  return node.kind === 'scalar' ? typeof node.value : node.kind;
}

function isNull(node: DocumentNode): boolean {
  return node.kind === 'scalar' && node.value === null;
}

function textsOf(variables: ReadonlyMap<string, Variable> | undefined): Record<string, string> {
  return Object.fromEntries([...(variables ?? [])].map(([key, variable]) => [key, variable.value]));
}

function joined(path: string, rest: string): string {
  return path === ROOT ? rest : `${path}.${rest}`;
}

function valueAt(values: unknown, path: string): unknown {
  let value = values;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = new Map<string, unknown>(Object.entries(value)).get(key);
  }
  return value;
}

function* pairsOf(value: unknown): Iterable<readonly [string, unknown]> {
  if (!Array.isArray(value)) return;
  for (const pair of value) if (Array.isArray(pair) && typeof pair[0] === 'string') yield [pair[0], pair[1]];
}
