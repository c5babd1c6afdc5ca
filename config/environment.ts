import { settingsOf } from '../src/settings.ts';
import type { Pairs, Parsed, Section, Setting } from '../src/settings.ts';
import { formatOf } from './formats.ts';
import { quote } from './problems.ts';
import type { Problems } from './problems.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** A variable in the spelling of the key it overrides, under the name that was really set. */
export interface Variable {
  readonly name: string;
  readonly value: string;
}

/** The settings that the environment makes. */
export interface Environment {
  /** By the name that the setting declares as `env`. */
  readonly variables: ReadonlyMap<string, Variable>;
  variableOf(setting: Setting): Variable | undefined;
  /** Members that variables add to a map. */
  pairsOf(setting: Setting): Pairs<string>;
  /** The value that a variable gives where nothing nearer sets one. */
  defaultOf(setting: Setting): string | undefined;
  /** `OTEL_METRICS_EXPORTER`, in our names; undefined when it is not set, empty for `none`. */
  readonly exporters?: readonly string[];
  readonly sdkDisabled: boolean;
}

type Read = (text: string) => Parsed<string>;

/**
 * Reads the variables that settings declare, as the OpenTelemetry specification demands: an empty one is not set, words are compared
 * without case, and a value that cannot be understood is ignored with a warning. Endpoints are the exception: data must not go to a
 * wrong address, so a bad one is an error, found when the section is read.
 */
export function readEnvironment(env: Env, sections: readonly Section[], problems: Problems): Environment {
  for (const name of ['OTEL_CONFIG_FILE', 'OTEL_EXPERIMENTAL_CONFIG_FILE']) {
    if (valueOf(env, name) !== undefined)
      problems.error(name, 'declarative configuration files are not supported; unset it and pass a file of our own with -c');
  }
  const variables = new Map<string, Variable>();
  const defaults = new Map<string, string>();
  const pairs = new Map<string, Pairs<string>>();
  for (const section of sections) {
    for (const [, setting] of settingsOf(section)) {
      const { env: name, envAlso, envDefault } = setting;
      if (name !== undefined && hasMembers(setting)) pairs.set(name, readPairs(env, setting, problems));
      else if (name !== undefined) {
        const variable = firstValid(env, [name, ...(envAlso === undefined ? [] : [envAlso])], readerOf(setting), problems);
        if (variable !== undefined) variables.set(name, variable);
      }
      const fallback = envDefault === undefined ? undefined : firstValid(env, [envDefault], readerOf(setting), problems);
      if (fallback !== undefined) defaults.set(fallback.name, fallback.value);
    }
  }
  const exporters = readExporterList(env, problems);
  return {
    variables,
    variableOf: (setting) => variables.get(setting.env ?? ''),
    pairsOf: (setting) => pairs.get(setting.env ?? '') ?? [],
    defaultOf: (setting) => defaults.get(setting.envDefault ?? ''),
    ...(exporters === undefined ? {} : { exporters }),
    sdkDisabled: firstValid(env, ['OTEL_SDK_DISABLED'], oneOf(['true', 'false']), problems)?.value === 'true',
  };
}

/** Names of the variables of OTLP exporters that are set. */
export function otlpVariablesSet(env: Env): readonly string[] {
  return Object.keys(env).filter((name) => name.startsWith('OTEL_EXPORTER_OTLP_') && valueOf(env, name) !== undefined);
}

/** How the specification writes values of a setting's format. */
function readerOf({ format, envWords, values = [], min = 0, max = Number.MAX_SAFE_INTEGER }: Setting): Read {
  if (envWords !== undefined) return translated(envWords);
  if (format === 'choice') return oneOf(values);
  if (format === 'boolean') return oneOf(['true', 'false']);
  if (format === 'integer') return wholeNumber(min, max);
  if (format === 'duration') return milliseconds(min, max);
  return (text) => ({ ok: true, value: text });
}

function hasMembers(setting: Setting): boolean {
  return formatOf(setting).literals.includes('map');
}

function firstValid(env: Env, names: readonly string[], read: Read, problems: Problems): Variable | undefined {
  for (const name of names) {
    const text = valueOf(env, name);
    if (text === undefined) continue;
    const parsed = read(text);
    if (parsed.ok) return { name, value: parsed.value };
    problems.warn(name, `${quote(text)} ${parsed.reason}; ignored`);
  }
  return undefined;
}

function readExporterList(env: Env, problems: Problems): readonly string[] | undefined {
  const text = valueOf(env, 'OTEL_METRICS_EXPORTER');
  if (text === undefined) return undefined;
  const known = new Map([
    ['otlp', 'otlp'],
    ['prometheus', 'prometheus'],
    ['console', 'json_stdout'],
  ]);
  const words = text.split(',').map((word) => word.trim().toLowerCase());
  const exporters = new Set<string>();
  for (const word of words) {
    const exporter = known.get(word);
    if (exporter !== undefined) exporters.add(exporter);
    else if (word !== 'none' && word !== '')
      problems.warn('OTEL_METRICS_EXPORTER', `${quote(word)} is not one of otlp, prometheus, console, none; ignored`);
  }
  return exporters.size > 0 || words.includes('none') ? [...exporters] : undefined;
}

/** Members of the generic variable under those of the nearer one, under variables that set one member. */
function readPairs(env: Env, setting: Setting, problems: Problems): Pairs<string> {
  const merged = new Map<string, readonly [string, string]>();
  for (const name of [setting.envAlso, setting.env]) {
    for (const pair of name === undefined ? [] : readList(env, name, setting, problems)) merged.set(memberId(setting, pair[0]), pair);
  }
  for (const [name, member] of Object.entries(setting.envMembers ?? {})) {
    const value = valueOf(env, name);
    if (value !== undefined) merged.set(member, [member, value]);
  }
  return [...merged.values()];
}

/** Names of headers are the same in any case. */
export function memberId({ format }: Setting, name: string): string {
  return format === 'headers' ? name.toLowerCase() : name;
}

/**
 * Reads `key=value,key=value`, percent-encoded. Of headers a bad member is left out; of attributes the specification discards the
 * whole variable.
 */
function readList(env: Env, name: string, setting: Setting, problems: Problems): Pairs<string> {
  const pairs: (readonly [string, string])[] = [];
  const checkEntry = formatOf(setting).checkEntry;
  for (const member of (valueOf(env, name) ?? '').split(',')) {
    if (member.trim() === '') continue;
    const pair = readPair(member);
    const reason = pair === undefined ? 'is not key=value with percent-encoding' : checkEntry?.(pair[0], pair[1]);
    if (pair !== undefined && reason === undefined) {
      pairs.push(pair);
    } else if (setting.format === 'headers') {
      // A header is never quoted: it is likely to hold a token.
      problems.warn(name, `one of its headers ${reason ?? ''}; ignored`);
    } else {
      problems.warn(name, `${quote(member)} ${reason ?? ''}; all of it is ignored`);
      return [];
    }
  }
  return pairs;
}

/** `key=value`, both percent-encoded, with spaces around them. */
function readPair(member: string): readonly [string, string] | undefined {
  const equals = member.indexOf('=');
  if (equals < 0) return undefined;
  try {
    const key = decodeURIComponent(member.slice(0, equals).trim());
    return key === '' ? undefined : [key, decodeURIComponent(member.slice(equals + 1).trim())];
  } catch (thrown) {
    if (thrown instanceof URIError) return undefined;
    throw thrown;
  }
}

function valueOf(env: Env, name: string): string | undefined {
  const text = env[name]?.trim();
  return text === '' ? undefined : text;
}

function oneOf(words: readonly string[]): Read {
  return (text) => {
    const word = text.toLowerCase();
    return words.includes(word) ? { ok: true, value: word } : { ok: false, reason: `is not one of ${words.join(', ')}` };
  };
}

function translated(words: Readonly<Record<string, string>>): Read {
  const translations = new Map(Object.entries(words));
  return (text) => {
    const value = translations.get(text.toLowerCase());
    return value === undefined ? { ok: false, reason: `is not one of ${[...translations.keys()].join(', ')}` } : { ok: true, value };
  };
}

function wholeNumber(min: number, max: number): Read {
  return (text) => {
    const value = Number(text);
    return /^\d{1,10}$/.test(text) && value >= min && value <= max
      ? { ok: true, value: String(value) }
      : { ok: false, reason: `is not a whole number from ${min} to ${max}` };
  };
}

function milliseconds(min: number, max: number): Read {
  const read = wholeNumber(min, max);
  return (text) => {
    const parsed = read(text);
    return parsed.ok ? { ok: true, value: `${parsed.value}ms` } : parsed;
  };
}
