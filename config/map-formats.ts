import type { Format } from './leaf.ts';

/** A map as convict may hold it: convict splits keys of objects at dots, and OpenTelemetry's keys are full of them. */
export type Pairs<T> = readonly (readonly [key: string, value: T])[];

/** RFC 9110 token. */
const HEADER_NAME = "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$";
/** Visible characters, spaces and tabs; a line break would smuggle in a second header. */
const HEADER_VALUE = '^[\\t\\u0020-\\u007e\\u0080-\\u00ff]*$';
/** What the exporter sets by itself. */
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
const REFERENCE = { $ref: '#/definitions/reference' } as const;
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

/** A list of attribute names. */
export const names: Format = {
  literals: ['list'],
  expects: 'a list of names',
  check: (value) => {
    if (!Array.isArray(value)) return 'is not a list of names';
    if (value.length > MAX_MEMBERS) return `has more than ${MAX_MEMBERS} names`;
    return value.every((name) => typeof name === 'string' && new RegExp(ATTRIBUTE_NAME).test(name)) ? undefined : 'is not a list of names';
  },
  jsonSchema: () => ({ type: 'array', maxItems: MAX_MEMBERS, items: { type: 'string', pattern: ATTRIBUTE_NAME } }),
};

/** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`. */
const LISTEN_ADDRESS = '^(\\[[0-9a-fA-F:.]+(%[A-Za-z0-9_.-]+)?\\]|[^:\\[\\]\\s/]*):[0-9]{1,5}$';

/** A list of addresses to listen on. */
export const listenAddresses: Format = {
  literals: ['list'],
  expects: 'a list of addresses such as "127.0.0.1:9464", "[::1]:9464" or ":9464"',
  check: (value) => {
    const addresses: readonly unknown[] = Array.isArray(value) ? value : [undefined];
    return addresses.length <= MAX_MEMBERS && addresses.every(isAddress) ? undefined : `is not ${listenAddresses.expects}`;
  },
  jsonSchema: () => ({ type: 'array', maxItems: MAX_MEMBERS, items: { anyOf: [{ type: 'string', pattern: LISTEN_ADDRESS }, REFERENCE] } }),
};

function isAddress(text: unknown): boolean {
  return typeof text === 'string' && new RegExp(LISTEN_ADDRESS).test(text) && portOf(text) <= 65_535;
}

/** The port of a listen address; NaN when there is none. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

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
