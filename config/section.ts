import convict from 'convict';
import { isSetting, settingsOf } from '../src/settings.ts';
import type { Section, Setting, SettingsOf, SettingsReader } from '../src/settings.ts';
import { Secret } from '../src/secret.ts';
import { shownUrl } from '../src/shown-url.ts';
import { isNull, plainValue } from './document.ts';
import type { DocumentNode, MapNode } from './document.ts';
import { memberId } from './environment.ts';
import type { Environment } from './environment.ts';
import { formatOf } from './formats.ts';
import { memberPath, quote, ROOT } from './problems.ts';
import type { Problems } from './problems.ts';
import { didYouMean } from './suggest.ts';

/** Values of flags, by the flag as it is typed. */
export type Flags = Readonly<Record<string, unknown>>;

export interface SectionOptions {
  /** Path of the section in the file. */
  readonly path: string;
  readonly problems: Problems;
  readonly environment: Environment;
  /** True for an exporter with a name of its own: variables and most flags apply to the one without. */
  readonly isNamed?: boolean;
  readonly flags?: Flags;
  /** Keys that somebody else reads. */
  readonly others?: readonly string[];
}

/**
 * Reads sections of one map of the file through convict: defaults, file, variables, flags, each over the one before. Problems keep
 * their exact place; a key with a problem has its default in the result.
 */
export class SectionReader implements SettingsReader {
  readonly #node: MapNode | undefined;
  readonly #options: SectionOptions;
  /** The nodes whose values were taken, by the path of their key. */
  readonly #nodes = new Map<string, DocumentNode>();
  #section: Section = {};

  constructor(node: MapNode | undefined, options: SectionOptions) {
    this.#node = node;
    this.#options = options;
  }

  read<S extends Section>(section: S): SettingsOf<S>;
  read(section: Section): object {
    this.#section = section;
    // Over an open type parameter convict's path types recurse without end and the compiler never returns.
    const open = section as object as convict.Schema<Record<string, unknown>>;
    const config = convict(open, { env: this.#variables(), args: [] });
    config.load(this.#node === undefined ? {} : this.#readMap(section, this.#node, ''));
    for (const [key, setting] of settingsOf(section)) {
      const value = this.#flag(setting) ?? this.#members(setting, valueAt(config.getProperties(), key)) ?? this.#ownDefault(key, setting);
      if (value !== undefined) config.set(key, value);
    }
    const values: unknown = config.getProperties();
    for (const [key, setting] of settingsOf(section)) {
      const value = valueAt(values, key);
      if (!this.#check(key, setting, value)) config.set(key, setting.default);
    }
    // convict's own check comes last: it joins all errors into one text without places, so the formats were asked one by one before.
    try {
      config.validate({ allowed: 'strict' });
    } catch {
      this.#options.problems.error(this.#options.path, 'does not fit the schema');
    }
    return withSecrets(section, config.getProperties());
  }

  origin(key: string): 'flag' | 'environment' | 'file' | 'default' {
    const setting = this.#settingAt(key);
    if (setting !== undefined && this.#flag(setting) !== undefined) return 'flag';
    if (setting !== undefined && this.#variable(setting) !== undefined) return 'environment';
    return this.#nodes.has(key) ? 'file' : 'default';
  }

  refuse(key: string, message: string): void {
    this.#options.problems.error(this.#originPath(key), message, this.#position(key));
  }

  warn(key: string, message: string): void {
    this.#options.problems.warn(this.#originPath(key), message, this.#position(key));
  }

  #position(key: string): DocumentNode['at'] | undefined {
    return this.#originPath(key) === this.#path(key) ? (this.#nodes.get(key)?.at ?? this.#node?.entries.get(key)?.at) : undefined;
  }

  /** The flag or the variable that set the value, else its path in the file. */
  #originPath(key: string): string {
    const setting = this.#settingAt(key);
    if (setting?.flag !== undefined && this.#flag(setting) !== undefined) return setting.flag;
    const variable = setting === undefined ? undefined : this.#variable(setting);
    return variable?.name ?? this.#path(key);
  }

  #settingAt(key: string): Setting | undefined {
    for (const [path, setting] of settingsOf(this.#section)) if (path === key) return setting;
    return undefined;
  }

  #path(key: string): string {
    return this.#options.path === ROOT ? key : `${this.#options.path}.${key}`;
  }

  #variable(setting: Setting) {
    return this.#options.isNamed === true ? undefined : this.#options.environment.variableOf(setting);
  }

  /** Texts of variables, by the name that convict looks up. */
  #variables(): Record<string, string> {
    const texts: Record<string, string> = {};
    if (this.#options.isNamed === true) return texts;
    for (const [name, { value }] of this.#options.environment.variables) texts[name] = value;
    return texts;
  }

  #flag({ flag, flagIsForAll }: Setting): unknown {
    const isTaken = flag !== undefined && (this.#options.isNamed !== true || flagIsForAll === true);
    return isTaken ? this.#options.flags?.[flag] : undefined;
  }

  /** The map of the file with the members that variables set. */
  #members(setting: Setting, fromFile: unknown): unknown {
    const pairs = this.#options.isNamed === true ? [] : this.#options.environment.pairsOf(setting);
    if (pairs.length === 0) return undefined;
    const merged = new Map<string, readonly [string, unknown]>();
    for (const pair of [...pairsIn(fromFile), ...pairs]) merged.set(memberId(setting, pair[0]), pair);
    return [...merged.values()];
  }

  /** The default that a variable gives, where nothing nearer sets the key. */
  #ownDefault(key: string, setting: Setting): unknown {
    if (this.#nodes.has(key) || this.#variable(setting) !== undefined) return undefined;
    return this.#options.environment.defaultOf(setting);
  }

  /** Takes the known keys of a map in the form that convict loads; the others are problems. */
  #readMap(section: Section, node: MapNode, prefix: string): object {
    const values: Record<string, unknown> = {};
    for (const [name, child] of node.entries) {
      const key = `${prefix}${name}`;
      const definition = Object.hasOwn(section, name) ? section[name] : undefined;
      if (definition === undefined) {
        this.#refuseUnknown(section, name, node, prefix);
      } else if (isSetting(definition)) {
        const value = this.#readLiteral(definition, child, key);
        if (value === undefined) continue;
        values[name] = value;
        this.#nodes.set(key, child);
      } else if (child.kind === 'map') {
        values[name] = this.#readMap(definition, child, `${key}.`);
      } else if (!isNull(child)) {
        this.#options.problems.error(this.#path(key), 'is not a map', child.at);
      }
    }
    return values;
  }

  #refuseUnknown(section: Section, name: string, node: MapNode, prefix: string): void {
    const { path, problems, others = [] } = this.#options;
    const elsewhere = prefix === '' ? others : [];
    if (elsewhere.includes(name)) return;
    const parent = prefix === '' ? path : this.#path(prefix.slice(0, -1));
    const names = [...Object.keys(section), ...elsewhere];
    problems.error(memberPath(parent, name), `is not a known key${didYouMean(name, names)}`, node.keyPositions.get(name));
  }

  #readLiteral(setting: Setting, node: DocumentNode, key: string): unknown {
    const format = formatOf(setting);
    const holdsMembers = format.literals.includes('list') || format.literals.includes('map');
    if (isNull(node)) {
      if (setting.nullable !== true && !format.literals.includes('map'))
        this.#options.problems.error(this.#path(key), 'has no value', node.at);
      return undefined;
    }
    const kind = node.kind === 'scalar' ? typeof node.value : node.kind;
    const isReference = node.kind === 'scalar' && node.expression !== undefined && !holdsMembers;
    if (!isReference && !format.literals.some((literal) => literal === kind)) {
      this.#options.problems.error(this.#path(key), `${shown(setting, node)} ${refusalOf(setting, node)}`, node.at);
      return undefined;
    }
    return node.kind === 'map' ? [...node.entries].map(([name, value]) => [name, plainValue(value)]) : plainValue(node);
  }

  /** Asks the format; returns whether the value may stay. */
  #check(key: string, setting: Setting, value: unknown): boolean {
    if (value === null && setting.nullable === true) return true;
    const { problems } = this.#options;
    const format = formatOf(setting);
    const node = this.#nodes.get(key);
    const origin = this.#originPath(key);
    let isGood = true;
    for (const [name, member] of format.checkEntry === undefined ? [] : pairsIn(value)) {
      const reason = format.checkEntry?.(name, member);
      if (reason === undefined) continue;
      isGood = false;
      problems.error(memberPath(origin, name), reason, node?.kind === 'map' ? node.entries.get(name)?.at : undefined);
    }
    const reason = isGood ? format.check(value, setting) : undefined;
    if (reason === undefined) return isGood;
    const isFromFile = origin === this.#path(key) && node !== undefined;
    problems.error(origin, `${isFromFile ? shown(setting, node) : shownValue(setting, value)} ${reason}`, isFromFile ? node.at : undefined);
    return false;
  }
}

function refusalOf(setting: Setting, node: DocumentNode): string {
  const value = plainValue(node);
  if (setting.format === 'duration' && typeof value === 'number' && Number.isFinite(value)) return `has no unit; write "${value}s"`;
  return `is not ${setting.expected ?? formatOf(setting).expects}`;
}

/** The value as the file has it; what a `${…}` stood for is never shown. */
function shown(setting: Setting, node: DocumentNode): string {
  if (node.kind === 'list') return 'a list';
  if (node.kind === 'map') return 'a map';
  return node.expression === undefined ? shownValue(setting, node.value) : quote(node.expression);
}

function shownValue(setting: Setting, value: unknown): string {
  if (setting.sensitive === true) return 'the value';
  const isAddress = setting.format === 'url' || setting.format === 'endpoint';
  return quote(isAddress && typeof value === 'string' ? shownUrl(value) : value);
}

/** Wraps the texts of sensitive settings. */
function withSecrets(section: Section, values: object): object {
  const wrapped = new Map<string, unknown>(Object.entries(values));
  for (const [name, definition] of Object.entries(section)) {
    const value = wrapped.get(name);
    if (!isSetting(definition)) wrapped.set(name, withSecrets(definition, typeof value === 'object' && value !== null ? value : {}));
    else if (definition.sensitive === true)
      wrapped.set(
        name,
        pairsIn(value).map(([key, member]) => [key, typeof member === 'string' ? new Secret(member) : member]),
      );
  }
  return Object.fromEntries(wrapped);
}

function valueAt(values: unknown, path: string): unknown {
  let value = values;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = new Map<string, unknown>(Object.entries(value)).get(key);
  }
  return value;
}

function pairsIn(value: unknown): readonly (readonly [string, unknown])[] {
  const pairs: readonly unknown[] = Array.isArray(value) ? value : [];
  return pairs.flatMap((pair) => (Array.isArray(pair) && typeof pair[0] === 'string' ? [[pair[0], pair[1]] as const] : []));
}
