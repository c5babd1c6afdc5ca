import type { Setting } from '../src/settings.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** How one kind of value is read, checked and described. Reasons are ends of sentences that begin with the value. */
export interface Format {
  /** Describes the values that a file may hold for it. */
  readonly literals: readonly ('string' | 'number' | 'boolean' | 'list' | 'map')[];
  readonly expects: string;
  /** Turns text into the value; text that cannot be read is returned for `check` to refuse. */
  readonly coerce?: (text: string) => unknown;
  readonly check: (value: unknown, setting: Setting) => string | undefined;
  /** Checks one member of a map. */
  readonly checkEntry?: (key: string, value: unknown) => string | undefined;
  readonly jsonSchema: (setting: Setting) => JsonSchema;
}

/** RFC 9110 token. */
const HEADER_NAME = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$";
/** Visible characters, spaces and tabs; a line break would smuggle in a second header. */
const HEADER_VALUE = '^[\\t\\u0020-\\u007e\\u0080-\\u00ff]*$';
/** Headers that the exporter sets by itself. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'te',
  'transfer-encoding',
]);
const ATTRIBUTE_NAME = '^[!-~]([ -~]{0,253}[!-~])?$';
const MAX_MEMBERS = 128;
/** Text with a `${…}`, whose value is not known before the agent starts. */
export const REFERENCE = { $ref: '#/definitions/reference' } as const;
/** Refused anywhere in a file. */
const NO_PROTOTYPES = { not: { enum: ['__proto__', 'prototype', 'constructor'] } } as const;

/** Header name → value, or `{file: PATH}` for a value that is read again when the file changes. */
export const headers: Format = {
  literals: ['map'],
  expects: 'a map of header names to values',
  check: (value) => checkPairs(value, headers) ?? repeatedHeader(value),
  checkEntry: (name, value) => {
    if (!new RegExp(HEADER_NAME).test(name)) return 'is not the name of a header';
    if (OWN_HEADERS.has(name.toLowerCase())) return 'is a header that the exporter sets by itself';
    if (isFile(value)) return undefined;
    if (typeof value !== 'string') return 'is neither a text nor {file: PATH}';
    return new RegExp(HEADER_VALUE).test(value) ? undefined : 'is not the value of a header: it has control characters or is not Latin-1';
  },
  jsonSchema: () => ({
    type: ['object', 'null'],
    maxProperties: MAX_MEMBERS,
    propertyNames: { pattern: HEADER_NAME, ...NO_PROTOTYPES },
    additionalProperties: {
      anyOf: [
        { type: 'string', pattern: HEADER_VALUE },
        {
          type: 'object',
          required: ['file'],
          additionalProperties: false,
          properties: { file: { type: 'string', minLength: 1, maxLength: 4096 } },
        },
      ],
    },
  }),
};

/** Attribute name → text, number or boolean. */
export const attributes: Format = {
  literals: ['map'],
  expects: 'a map of attribute names to values',
  check: (value) => checkPairs(value, attributes),
  checkEntry: (name, value) => {
    if (!new RegExp(ATTRIBUTE_NAME).test(name)) return 'is not the name of an attribute';
    if (typeof value === 'string') return value.length > 1024 ? 'is longer than 1024 characters' : undefined;
    if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return undefined;
    return 'is neither a text, a number, true nor false';
  },
  jsonSchema: () => ({
    type: ['object', 'null'],
    maxProperties: MAX_MEMBERS,
    propertyNames: { pattern: ATTRIBUTE_NAME, ...NO_PROTOTYPES },
    additionalProperties: { anyOf: [{ type: 'string', maxLength: 1024 }, { type: 'number' }, { type: 'boolean' }] },
  }),
};

/** Name → on or off. */
export const toggles: Format = {
  literals: ['map'],
  expects: 'a map of names to true or false',
  check: (value) => checkPairs(value, toggles),
  checkEntry: (_name, value) => (typeof value === 'boolean' ? undefined : 'is not true or false'),
  jsonSchema: () => ({ type: ['object', 'null'], propertyNames: NO_PROTOTYPES, additionalProperties: { type: 'boolean' } }),
};

/** A list of texts, each of which fits the pattern of the setting. */
export const list: Format = {
  literals: ['list'],
  expects: 'a list',
  check: (value, { pattern = '', expected = list.expects, refusal }) => {
    if (!Array.isArray(value)) return `is not ${expected}`;
    if (value.length > MAX_MEMBERS) return `has more than ${MAX_MEMBERS} members`;
    const fits = (item: unknown): boolean =>
      typeof item === 'string' && item.length <= 1024 && new RegExp(pattern).test(item) && refusal?.(item) === undefined;
    return value.every(fits) ? undefined : `is not ${expected}`;
  },
  jsonSchema: ({ pattern }) => ({ type: 'array', maxItems: MAX_MEMBERS, items: { anyOf: [{ type: 'string', pattern }, REFERENCE] } }),
};

function checkPairs(value: unknown, format: Format): string | undefined {
  if (!Array.isArray(value)) return `is not ${format.expects}`;
  const pairs: readonly unknown[] = value;
  if (format !== toggles && pairs.length > MAX_MEMBERS) return `has more than ${MAX_MEMBERS} members`;
  for (const pair of pairs) {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') return `is not ${format.expects}`;
    const reason = format.checkEntry?.(pair[0], pair[1]);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Header names are the same in any case. */
function repeatedHeader(value: unknown): string | undefined {
  const lowered = Array.isArray(value) ? value.map((pair: unknown) => (Array.isArray(pair) ? String(pair[0]).toLowerCase() : '')) : [];
  return new Set(lowered).size === lowered.length ? undefined : 'names a header twice, in different case';
}

function isFile(value: unknown): value is { readonly file: string } {
  if (typeof value !== 'object' || value === null || !('file' in value) || Object.keys(value).length !== 1) return false;
  return typeof value.file === 'string' && value.file !== '' && !value.file.includes('\0') && value.file.length <= 4096;
}
