import type convict from 'convict';

export const FORMAT_NAMES = [
  'text',
  'choice',
  'flag',
  'integer',
  'duration',
  'bytes',
  'path',
  'absolute_path',
  'url',
  'endpoint',
  'tag_filter',
  'source_spec',
  'headers',
  'attributes',
  'toggles',
  'names',
  'listen_addresses',
] as const;

export type FormatName = (typeof FORMAT_NAMES)[number];

/** One key of the configuration as convict takes it. The fields beyond convict's own narrow its format. */
export interface Leaf<T = unknown> {
  readonly format: FormatName;
  /** One or two sentences for people. */
  readonly doc: string;
  readonly default: T | null;
  /** `null` means: left out. */
  readonly nullable?: boolean;
  /** Variable that overrides the file. */
  readonly env?: string;
  /** Member of `Flags` that overrides file and variable. */
  readonly arg?: string;
  /** Values are never quoted in messages. */
  readonly sensitive?: boolean;
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Texts must match it; `expected` says in words what it demands. */
  readonly pattern?: string;
  readonly expected?: string;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

/** How one kind of value is read, checked and described. Reasons are ends of sentences that begin with the value. */
export interface Format {
  /** What a file may hold for it. */
  readonly literals: readonly ('string' | 'number' | 'boolean' | 'list' | 'map')[];
  readonly expects: string;
  /** Turns text into the value; text that cannot be read is returned for `check` to refuse. */
  readonly coerce?: (text: string) => unknown;
  readonly check: (value: unknown, leaf: Leaf) => string | undefined;
  /** One member of a map, as plain data. */
  readonly checkEntry?: (key: string, value: unknown) => string | undefined;
  readonly jsonSchema: (leaf: Leaf) => JsonSchema;
}

/** A key of a convict schema whose type follows from its default, or from where it stands. */
export function leaf<T>(definition: Leaf<T>): convict.SchemaObj<T> {
  return { ...definition };
}

/** A key that takes one of a closed set of words. */
export function choice<T extends string>(values: readonly T[], rest: Omit<Leaf<T>, 'format' | 'values'>): convict.SchemaObj<T> {
  return { ...rest, format: 'choice', values };
}

/** Tells a key from a group of keys. */
export function isLeaf(definition: unknown): definition is Leaf {
  return typeof definition === 'object' && definition !== null && 'default' in definition && 'format' in definition;
}

/** Every key of a schema with its dotted path. */
export function* leavesOf(schema: object, prefix = ''): Iterable<readonly [path: string, leaf: Leaf]> {
  for (const [key, definition] of Object.entries(schema)) {
    if (isLeaf(definition)) yield [`${prefix}${key}`, definition];
    else yield* leavesOf(definition, `${prefix}${key}.`);
  }
}
