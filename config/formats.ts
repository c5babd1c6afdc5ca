import convict from 'convict';
import { isSetting } from '../src/settings.ts';
import type { FormatName, Parsed, Section, Setting } from '../src/settings.ts';
import { attributes, headers, list, toggles } from './map-formats.ts';
import type { Format, JsonSchema } from './map-formats.ts';
import { didYouMean } from './suggest.ts';
import { MAX_PATTERN_LENGTH, parseTagFilter } from './tag-filter.ts';
import { BYTE_SIZE_PATTERN, DURATION_PATTERN, formatByteSize, formatDuration, parseByteSize, parseDuration } from './units.ts';

const MAX_TEXT_LENGTH = 65_536;
const HTTP_URL = '^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]';

const text: Format = {
  literals: ['string'],
  expects: 'a text',
  check: (value, setting) => {
    if (typeof value !== 'string') return `is not ${setting.expected ?? text.expects}`;
    if (value.length > MAX_TEXT_LENGTH) return 'is too long';
    if (value.includes('\0')) return 'holds a NUL character';
    const fits = setting.pattern === undefined || new RegExp(setting.pattern).test(value);
    const reason = setting.refusal?.(value) ?? (fits ? undefined : `is not ${setting.expected ?? 'allowed'}`);
    return reason === undefined ? undefined : `${reason}${suggestion(value, setting.values ?? [])}`;
  },
  jsonSchema: (setting) => ({
    type: 'string',
    maxLength: MAX_TEXT_LENGTH,
    ...(setting.pattern === undefined ? {} : { pattern: setting.pattern }),
  }),
};

const choice: Format = {
  literals: ['string'],
  expects: 'one of the known words',
  check: (value, setting) => {
    const values = setting.values ?? [];
    if (typeof value === 'string' && values.includes(value)) return undefined;
    return `is not one of ${values.join(', ')}${typeof value === 'string' ? didYouMean(value, values) : ''}`;
  },
  jsonSchema: (setting) => ({ enum: [...(setting.values ?? [])] }),
};

const boolean: Format = {
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
  check: (value, setting) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) return 'is not a whole number';
    return outside(value, setting, String);
  },
  jsonSchema: (setting) => ({ type: 'integer', ...limits(setting) }),
};

const duration: Format = {
  literals: ['string'],
  expects: 'a duration such as "5s", "500ms", "1.5s" or "1m30s"',
  coerce: (value) => valueOr(parseDuration(value), value),
  check: (value, setting) => {
    if (typeof value === 'string') return reasonOf(parseDuration(value));
    if (typeof value !== 'number') return `is not ${duration.expects}`;
    if (value === 0) return 'is zero';
    return outside(value, setting, formatDuration);
  },
  jsonSchema: () => ({ type: 'string', pattern: DURATION_PATTERN, maxLength: 64 }),
};

const bytes: Format = {
  literals: ['string', 'number'],
  expects: 'a size such as "512MiB", "4MB" or a whole number of bytes',
  coerce: (value) => valueOr(parseByteSize(value), value),
  check: (value, setting) => {
    if (typeof value === 'string') return reasonOf(parseByteSize(value));
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) return `is not ${bytes.expects}`;
    return outside(value, setting, formatByteSize);
  },
  jsonSchema: (setting) => ({
    anyOf: [
      { type: 'integer', ...limits(setting) },
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
  check: (value, setting) => path.check(value, setting) ?? (String(value).startsWith('/') ? undefined : 'is not an absolute path'),
  jsonSchema: () => ({ type: 'string', pattern: '^/', maxLength: 4096 }),
};

/** `http` and `https`; credentials belong into headers, where they are kept out of logs. */
const url: Format = {
  literals: ['string'],
  expects: 'a URL',
  check: (value, { pattern = HTTP_URL, expected = url.expects }) => {
    if (typeof value !== 'string') return 'is not a URL';
    return checkUrl(value) ?? (new RegExp(pattern).test(value) ? undefined : `is not ${expected}`);
  },
  jsonSchema: ({ pattern = HTTP_URL }) => ({ type: 'string', pattern, maxLength: 4096 }),
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

const FORMATS: Readonly<Record<FormatName, Format>> = {
  text,
  choice,
  boolean,
  integer,
  duration,
  bytes,
  path,
  absolute_path: absolutePath,
  url,
  endpoint,
  tag_filter: tagFilter,
  list,
  headers,
  attributes,
  toggles,
};

for (const [name, format] of Object.entries(FORMATS)) addToConvict(name, format);

export function formatOf(setting: Setting): Format {
  return FORMATS[setting.format];
}

/** convict keeps formats for the whole process. */
function addToConvict(name: string, format: Format): void {
  convict.addFormat({
    name,
    validate: (value: unknown, definition: Section) => {
      const reason = isSetting(definition) ? format.check(value, definition) : 'has no definition';
      if (reason !== undefined) throw new Error(reason);
    },
    coerce: (value: unknown) => (typeof value === 'string' && format.coerce !== undefined ? format.coerce(value) : value),
  });
}

function checkUrl(value: string): string | undefined {
  const parsed = value.length > 4096 ? null : URL.parse(value);
  if (parsed === null) return 'is not a URL';
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return 'does not begin with http:// or https://';
  if (parsed.username !== '' || parsed.password !== '') return 'holds a user name or password; send it as a header';
  return parsed.hash === '' ? undefined : 'has a fragment (#…), which is never sent';
}

/** Suggests the word that the beginning of a text was probably meant to be. */
function suggestion(value: string, words: readonly string[]): string {
  const [beginning = ''] = value.split(':', 1);
  return words.includes(beginning) ? '' : didYouMean(beginning, words);
}

function outside(value: number, setting: Setting, print: (value: number) => string): string | undefined {
  if (value < 0 && setting.min !== undefined && setting.min >= 0) return 'is negative';
  if (setting.min !== undefined && value < setting.min) return `is below the minimum of ${print(setting.min)}`;
  if (setting.max !== undefined && value > setting.max) return `is above the maximum of ${print(setting.max)}`;
  return undefined;
}

function limits(setting: Setting): JsonSchema {
  return { ...(setting.min === undefined ? {} : { minimum: setting.min }), ...(setting.max === undefined ? {} : { maximum: setting.max }) };
}

function valueOr<T>(parsed: Parsed<T>, otherwise: string): T | string {
  return parsed.ok ? parsed.value : otherwise;
}

function reasonOf(parsed: Parsed<unknown>): string | undefined {
  return parsed.ok ? undefined : parsed.reason;
}
