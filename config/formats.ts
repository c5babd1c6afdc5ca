import convict from 'convict';
import { BYTE_SIZE_PATTERN, formatByteSize, parseByteSize } from './byte-size.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from './duration.ts';
import { isLeaf } from './leaf.ts';
import type { Format, FormatName, JsonSchema, Leaf } from './leaf.ts';
import { attributes, headers, listenAddresses, names, toggles } from './map-formats.ts';
import type { Parsed } from './parsed.ts';
import { parseSourceSpec, SOURCE_SPEC_PATTERN } from './source-spec.ts';
import { didYouMean } from './suggest.ts';
import { MAX_PATTERN_LENGTH, parseTagFilter } from './tag-filter.ts';

const MAX_TEXT_LENGTH = 65_536;

const text: Format = {
  literals: ['string'],
  expects: 'a text',
  check: (value, leaf) => {
    if (typeof value !== 'string') return 'is not a text';
    if (value.length > MAX_TEXT_LENGTH) return 'is too long';
    if (value.includes('\0')) return 'holds a NUL character';
    if (leaf.pattern === undefined || new RegExp(leaf.pattern).test(value)) return undefined;
    return `is not ${leaf.expected ?? 'allowed'}`;
  },
  jsonSchema: (leaf) => ({
    type: 'string',
    maxLength: MAX_TEXT_LENGTH,
    ...(leaf.pattern === undefined ? {} : { pattern: leaf.pattern }),
  }),
};

const choice: Format = {
  literals: ['string'],
  expects: 'one of the known words',
  check: (value, leaf) => {
    const values = leaf.values ?? [];
    if (typeof value === 'string' && values.includes(value)) return undefined;
    return `is not one of ${values.join(', ')}${typeof value === 'string' ? didYouMean(value, values) : ''}`;
  },
  jsonSchema: (leaf) => ({ enum: [...(leaf.values ?? [])] }),
};

const flag: Format = {
  literals: ['boolean'],
  expects: 'true or false',
  coerce: (value) => (/^(true|false)$/i.test(value) ? value.toLowerCase() === 'true' : value),
  check: (value) => (typeof value === 'boolean' ? undefined : 'is not true or false'),
  jsonSchema: () => ({ type: 'boolean' }),
};

const integer: Format = {
  literals: ['number'],
  expects: 'a whole number',
  coerce: (value) => (/^-?\d{1,15}$/.test(value) ? Number(value) : value),
  check: (value, leaf) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) return 'is not a whole number';
    return outside(value, leaf, String);
  },
  jsonSchema: (leaf) => ({ type: 'integer', ...limits(leaf) }),
};

const duration: Format = {
  literals: ['string'],
  expects: 'a duration such as "5s", "500ms", "1.5s" or "1m30s"',
  coerce: (value) => valueOr(parseDuration(value), value),
  check: (value, leaf) => {
    if (typeof value === 'string') return reasonOf(parseDuration(value));
    if (typeof value !== 'number') return `is not ${duration.expects}`;
    if (value === 0) return 'is zero';
    return outside(value, leaf, formatDuration);
  },
  jsonSchema: () => ({ type: 'string', pattern: DURATION_PATTERN, maxLength: 64 }),
};

const bytes: Format = {
  literals: ['string', 'number'],
  expects: 'a size such as "512MiB", "4MB" or a whole number of bytes',
  coerce: (value) => valueOr(parseByteSize(value), value),
  check: (value, leaf) => {
    if (typeof value === 'string') return reasonOf(parseByteSize(value));
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) return `is not ${bytes.expects}`;
    return outside(value, leaf, formatByteSize);
  },
  jsonSchema: (leaf) => ({
    anyOf: [
      { type: 'integer', ...limits(leaf) },
      { type: 'string', pattern: BYTE_SIZE_PATTERN },
    ],
  }),
};

const path: Format = {
  literals: ['string'],
  expects: 'a path',
  check: (value) => {
    if (typeof value !== 'string' || value === '') return 'is not a path';
    return value.length > 4096 || value.includes('\0') ? 'is not a path' : undefined;
  },
  jsonSchema: () => ({ type: 'string', minLength: 1, maxLength: 4096 }),
};

const absolutePath: Format = {
  ...path,
  expects: 'an absolute path',
  check: (value, leaf) => path.check(value, leaf) ?? (String(value).startsWith('/') ? undefined : 'is not an absolute path'),
  jsonSchema: () => ({ type: 'string', pattern: '^/', maxLength: 4096 }),
};

/** `http` and `https`; credentials belong into headers, where they are kept out of logs. */
const url: Format = {
  literals: ['string'],
  expects: 'a URL',
  check: (value) => (typeof value === 'string' ? checkUrl(value) : 'is not a URL'),
  jsonSchema: () => ({ type: 'string', pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]', maxLength: 4096 }),
};

/** A URL, or `host[:port]` as gRPC writes it. */
const endpoint: Format = {
  ...url,
  check: (value) => (typeof value === 'string' ? checkUrl(value.includes('://') ? value : `http://${value}`) : 'is not a URL'),
  jsonSchema: () => ({ type: 'string', minLength: 1, maxLength: 4096 }),
};

const tagFilter: Format = {
  literals: ['string'],
  expects: 'a regular expression',
  check: (value) => (typeof value === 'string' ? reasonOf(parseTagFilter(value)) : 'is not a regular expression'),
  jsonSchema: () => ({ type: 'string', maxLength: MAX_PATTERN_LENGTH }),
};

const sourceSpec: Format = {
  literals: ['string'],
  expects: 'a source',
  check: (value) => (typeof value === 'string' ? reasonOf(parseSourceSpec(value)) : 'is not a source'),
  jsonSchema: () => ({ type: 'string', pattern: SOURCE_SPEC_PATTERN, maxLength: 4096 }),
};

const FORMATS: Readonly<Record<FormatName, Format>> = {
  text,
  choice,
  flag,
  integer,
  duration,
  bytes,
  path,
  absolute_path: absolutePath,
  url,
  endpoint,
  tag_filter: tagFilter,
  source_spec: sourceSpec,
  headers,
  attributes,
  toggles,
  names,
  listen_addresses: listenAddresses,
};

export function formatOf(leaf: Leaf): Format {
  return FORMATS[leaf.format];
}

/** Makes the formats known to convict, which keeps them for the whole process. */
export function registerFormats(): void {
  for (const [name, format] of Object.entries(FORMATS)) {
    convict.addFormat({
      name,
      validate: (value: unknown, definition: unknown) => {
        const reason = isLeaf(definition) ? format.check(value, definition) : 'has no definition';
        if (reason !== undefined) throw new Error(reason);
      },
      coerce: (value: unknown) => (typeof value === 'string' && format.coerce !== undefined ? format.coerce(value) : value),
    });
  }
}

function checkUrl(value: string): string | undefined {
  const parsed = value.length > 4096 ? null : URL.parse(value);
  if (parsed === null) return 'is not a URL';
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return 'does not begin with http:// or https://';
  if (parsed.username !== '' || parsed.password !== '') return 'holds a user name or password; send it as a header';
  return parsed.hash === '' ? undefined : 'has a fragment (#…), which is never sent';
}

function outside(value: number, leaf: Leaf, print: (value: number) => string): string | undefined {
  if (value < 0 && leaf.min !== undefined && leaf.min >= 0) return 'is negative';
  if (leaf.min !== undefined && value < leaf.min) return `is below the minimum of ${print(leaf.min)}`;
  if (leaf.max !== undefined && value > leaf.max) return `is above the maximum of ${print(leaf.max)}`;
  return undefined;
}

function limits(leaf: Leaf): JsonSchema {
  return { ...(leaf.min === undefined ? {} : { minimum: leaf.min }), ...(leaf.max === undefined ? {} : { maximum: leaf.max }) };
}

function valueOr<T>(parsed: Parsed<T>, otherwise: string): T | string {
  return parsed.ok ? parsed.value : otherwise;
}

function reasonOf(parsed: Parsed<unknown>): string | undefined {
  return parsed.ok ? undefined : parsed.reason;
}
