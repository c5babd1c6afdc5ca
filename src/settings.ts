import type { Secret } from './secret.ts';

/*
 * The vocabulary in which components declare their settings. A section is plain data: each key of the file with its format, default,
 * variables, flag and documentation. `config/` reads files against sections; the type of the settings follows from the section.
 *
 * The key of the file, in snake_case, is the only spelling of a setting: the component reads `settings.scope_labels`. Durations are
 * numbers of milliseconds, sizes are numbers of bytes, maps are lists of pairs, and `null` means that a setting was left out.
 */

/** The formats that `config/formats.ts` reads and checks. */
export type FormatName =
  | 'text'
  | 'choice'
  | 'boolean'
  | 'integer'
  | 'duration'
  | 'bytes'
  | 'path'
  | 'absolute_path'
  | 'url'
  | 'endpoint'
  | 'tag_filter'
  | 'list'
  | 'headers'
  | 'attributes'
  | 'toggles';

/** One key of a section. Its `format`, `default`, `env` and `doc` are convict's; the other members narrow the format. */
export interface Setting<T = unknown> {
  readonly format: FormatName;
  /** One or two sentences for people, for the published JSON Schema and for the help texts. */
  readonly doc: string;
  /** `null` where the setting may be left out. */
  readonly default: T;
  /** True where `null` means that the setting is left out; always so where that is the default. */
  readonly nullable?: boolean;
  /** Variable that overrides the file. */
  readonly env?: string;
  /** Generic variable that counts when `env` is not set; of headers both count. */
  readonly envAlso?: string;
  /** Variable that counts when neither the file nor another variable sets the key. */
  readonly envDefault?: string;
  /** Words of the variable that stand for other values. */
  readonly envWords?: Readonly<Record<string, string>>;
  /** Variables that set one member of a map. */
  readonly envMembers?: Readonly<Record<string, string>>;
  /** Flag that overrides file and variable, as it is typed. */
  readonly flag?: string;
  /** True when the flag also applies to exporters with a name of their own. */
  readonly flagIsForAll?: boolean;
  /** True for secrets: their values are never quoted, and texts are wrapped in a `Secret`. */
  readonly sensitive?: boolean;
  /** The words of a choice; of a text the words that are suggested for a misspelt beginning. */
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Regular expression for the text, or for each text of a list; `expected` describes what it accepts. */
  readonly pattern?: string;
  readonly expected?: string;
  /** Check beyond the format; returns the end of a sentence that begins with the value. */
  readonly refusal?: (text: string) => string | undefined;
}

/** Keys, and maps of keys. */
export interface Section {
  readonly [key: string]: Setting | Section;
}

/** The values of a section. */
export type SettingsOf<S> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : SettingsOf<S[K]> };

/** A map, as pairs: convict splits keys of objects at dots, and OpenTelemetry's keys are full of them. */
export type Pairs<T> = readonly (readonly [key: string, value: T])[];

/** The value that a text holds, or the end of a sentence that begins with the text and explains why it holds none. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** `SectionReader`s help a component with rules beyond single keys. Keys are dotted paths inside its section. */
export interface SettingsReader {
  /** Reads the keys: flags over variables over the file over defaults. */
  read<S extends Section>(section: S): SettingsOf<S>;
  /** Names the origin of the value in force. */
  origin(key: string): 'flag' | 'environment' | 'file' | 'default';
  /** Reports an error at the origin of the value. */
  refuse(key: string, message: string): void;
  warn(key: string, message: string): void;
}

/** Refuses each of these keys that somebody set. */
export function refuseGiven(reader: SettingsReader, keys: readonly string[], message: string): void {
  for (const key of keys) if (reader.origin(key) !== 'default') reader.refuse(key, message);
}

/** A type of exporter as the configuration sees it. */
export interface ExporterType<T> {
  readonly description: string;
  readonly section: Section;
  /** True when a file may hold several, as `type/name`. */
  readonly isNamed: boolean;
  read(reader: SettingsReader): T;
  /** Lists addresses and folders that no other exporter may use, as messages show them. */
  claims(settings: T): readonly string[];
  /** Opens the files that the exporter will read, and reports those that it could not use. */
  verify(settings: T, reader: SettingsReader): void;
}

type Rest<T> = Omit<Setting<T>, 'format' | 'default'>;

/** Declares a key of one format; with the default `null` the setting may be left out. */
interface Builder<T> {
  (rest: Rest<T> & { readonly default: null }): Setting<T | null>;
  (rest: Rest<T> & { readonly default: T }): Setting<T>;
}

export const text = builder<string>('text');
export const boolean = builder<boolean>('boolean');
export const integer = builder<number>('integer');
export const duration = builder<number>('duration');
export const bytes = builder<number>('bytes');
export const path = builder<string>('path');
export const absolutePath = builder<string>('absolute_path');
export const url = builder<string>('url');
/** A URL, or `host[:port]` as gRPC writes it. */
export const endpoint = builder<string>('endpoint');
/** A regular expression (RE2) that is looked for in the tag of a process. */
export const tagFilter = builder<string>('tag_filter');
export const list = builder<readonly string[]>('list');
/** Attribute name → value. */
export const attributes = builder<Pairs<string | number | boolean>>('attributes');
/** Name → on or off. */
export const toggles = builder<Pairs<boolean>>('toggles');
/** Header name → value, or the file that holds the value and is read again when it changes. */
export const headers = builder<Pairs<HeaderValue>>('headers');

export type HeaderValue = Secret | { readonly file: string };

/** A key that takes one of a closed set of words. */
export function choice<const W extends string>(
  values: readonly W[],
  rest: Omit<Rest<W>, 'values'> & { readonly default: NoInfer<W> },
): Setting<W> {
  return { ...rest, format: 'choice', values };
}

function builder<T>(format: FormatName): Builder<T> {
  function build(rest: Rest<T> & { readonly default: null }): Setting<T | null>;
  function build(rest: Rest<T> & { readonly default: T }): Setting<T>;
  function build(rest: Rest<T> & { readonly default: T | null }): Setting<T | null> {
    return { ...rest, format, nullable: rest.nullable === true || rest.default === null };
  }
  return build;
}

/** The values of a section that nobody sets. */
export function defaultsOf<S extends Section>(section: S): SettingsOf<S>;
export function defaultsOf(section: Section): object {
  return Object.fromEntries(
    Object.entries(section).map(([key, definition]) => [key, isSetting(definition) ? definition.default : defaultsOf(definition)]),
  );
}

/** Distinguishes a key from a map of keys. */
export function isSetting(definition: Setting | Section): definition is Setting {
  return 'default' in definition && 'format' in definition && typeof definition.format === 'string';
}

/** Every key of a section with its dotted path. */
export function* settingsOf(section: Section, prefix = ''): Iterable<readonly [path: string, setting: Setting]> {
  for (const [key, definition] of Object.entries(section)) {
    if (isSetting(definition)) yield [`${prefix}${key}`, definition];
    else yield* settingsOf(definition, `${prefix}${key}.`);
  }
}
