import type { Pairs } from './map-formats.ts';
import { attributes as attributesFormat, headers as headersFormat } from './map-formats.ts';
import type { Parsed } from './parsed.ts';
import { quote } from './problems.ts';
import type { Problems } from './problems.ts';
import { DEFAULT_PERIOD_MS, MAX_PERIOD_MS, MIN_PERIOD_MS } from './schema.ts';
import { OTLP_COMPRESSIONS, OTLP_PROTOCOLS, OTLP_TEMPORALITIES } from '../exporters/otlp/options.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** A variable in the spelling of the key it overrides, under the name that was really set. */
export interface Variable {
  readonly name: string;
  readonly value: string;
}

/** What the environment says about the configuration. */
export interface Environment {
  /** By the name that the schema declares; a generic variable stands in for the metrics one that is not set. */
  readonly variables: ReadonlyMap<string, Variable>;
  readonly otlpHeaders: Pairs<string>;
  readonly resourceAttributes: Pairs<string>;
  /** `OTEL_METRICS_EXPORTER`, in our names; undefined when it is not set, empty for `none`. */
  readonly exporters?: readonly string[];
  /** `OTEL_METRIC_EXPORT_INTERVAL`: the period where the file says none. */
  readonly defaultPeriodMs: number;
  /** `OTEL_METRIC_EXPORT_TIMEOUT`: the timeout of OTLP exporters where nothing nearer says one. */
  readonly exportTimeoutMs?: number;
  readonly sdkDisabled: boolean;
}

interface Rule {
  /** The first of these that is set and valid counts. */
  readonly names: readonly string[];
  readonly read: (text: string) => Parsed<string>;
}

const OTLP = 'OTEL_EXPORTER_OTLP_';
const MAX_TIMEOUT_MS = 600_000;

const RULES: ReadonlyMap<string, Rule> = new Map([
  [`${OTLP}ENDPOINT`, { names: [`${OTLP}ENDPOINT`], read: asItIs }],
  [`${OTLP}METRICS_ENDPOINT`, { names: [`${OTLP}METRICS_ENDPOINT`], read: asItIs }],
  otlpRule('PROTOCOL', oneOf(OTLP_PROTOCOLS)),
  otlpRule('COMPRESSION', oneOf(OTLP_COMPRESSIONS)),
  otlpRule('TIMEOUT', milliseconds(10, MAX_TIMEOUT_MS)),
  otlpRule('CERTIFICATE', asItIs),
  otlpRule('CLIENT_CERTIFICATE', asItIs),
  otlpRule('CLIENT_KEY', asItIs),
  otlpRule('INSECURE', truth),
  [`${OTLP}METRICS_TEMPORALITY_PREFERENCE`, { names: [`${OTLP}METRICS_TEMPORALITY_PREFERENCE`], read: oneOf(OTLP_TEMPORALITIES) }],
  [
    `${OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION`,
    {
      names: [`${OTLP}METRICS_DEFAULT_HISTOGRAM_AGGREGATION`],
      read: translated({ explicit_bucket_histogram: 'explicit', base2_exponential_bucket_histogram: 'exponential' }),
    },
  ],
  ['OTEL_EXPORTER_PROMETHEUS_HOST', { names: ['OTEL_EXPORTER_PROMETHEUS_HOST'], read: asItIs }],
  ['OTEL_EXPORTER_PROMETHEUS_PORT', { names: ['OTEL_EXPORTER_PROMETHEUS_PORT'], read: integer(0, 65_535) }],
  [
    'OTEL_LOG_LEVEL',
    { names: ['OTEL_LOG_LEVEL'], read: translated({ none: '0', error: '1', warn: '2', info: '3', debug: '4', verbose: '4', all: '4' }) },
  ],
  ['AWS_EC2_METADATA_SERVICE_ENDPOINT', { names: ['AWS_EC2_METADATA_SERVICE_ENDPOINT'], read: asItIs }],
]);

/**
 * Reads the variables of the OpenTelemetry specification as it demands: an empty one is not set, words are compared without case,
 * and what cannot be understood is ignored with a warning. Endpoints are the exception: data must not go to a wrong place, so a bad
 * one is an error, found when it is used.
 */
export function readEnvironment(env: Env, problems: Problems): Environment {
  for (const name of ['OTEL_CONFIG_FILE', 'OTEL_EXPERIMENTAL_CONFIG_FILE']) {
    if (!isSet(env, name)) continue;
    problems.error(name, 'declarative configuration files are not supported; unset it and pass a file of our own with -c');
  }
  const variables = new Map<string, Variable>();
  for (const [name, rule] of RULES) {
    const variable = firstValid(env, rule, problems);
    if (variable !== undefined) variables.set(name, variable);
  }
  if (readTruth(env, 'AWS_EC2_METADATA_DISABLED', problems)) {
    variables.set('AWS_EC2_METADATA_DISABLED', { name: 'AWS_EC2_METADATA_DISABLED', value: 'false' });
  }
  const exporters = readExporterList(env, problems);
  const exportTimeout = readNumber(env, 'OTEL_METRIC_EXPORT_TIMEOUT', 10, MAX_TIMEOUT_MS, problems);
  return {
    variables,
    otlpHeaders: readHeaders(env, problems),
    resourceAttributes: readResource(env, problems),
    ...(exporters === undefined ? {} : { exporters }),
    defaultPeriodMs: readNumber(env, 'OTEL_METRIC_EXPORT_INTERVAL', MIN_PERIOD_MS, MAX_PERIOD_MS, problems) ?? DEFAULT_PERIOD_MS,
    ...(exportTimeout === undefined ? {} : { exportTimeoutMs: exportTimeout }),
    sdkDisabled: readTruth(env, 'OTEL_SDK_DISABLED', problems),
  };
}

/** Names of the `OTEL_EXPORTER_OTLP_*` variables that are set. */
export function otlpVariablesSet(env: Env): readonly string[] {
  return Object.keys(env).filter((name) => name.startsWith(OTLP) && isSet(env, name));
}

function otlpRule(suffix: string, read: Rule['read']): readonly [string, Rule] {
  return [`${OTLP}METRICS_${suffix}`, { names: [`${OTLP}METRICS_${suffix}`, `${OTLP}${suffix}`], read }];
}

function firstValid(env: Env, rule: Rule, problems: Problems): Variable | undefined {
  for (const name of rule.names) {
    const text = valueOf(env, name);
    if (text === undefined) continue;
    const parsed = rule.read(text);
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

/** Generic headers under those for metrics; names are the same in any case. */
function readHeaders(env: Env, problems: Problems): Pairs<string> {
  const merged = new Map<string, readonly [string, string]>();
  for (const name of [`${OTLP}HEADERS`, `${OTLP}METRICS_HEADERS`]) {
    for (const member of (valueOf(env, name) ?? '').split(',')) {
      if (member.trim() === '') continue;
      const pair = readPair(member);
      // Never quoted: it is likely to hold a token.
      const reason = pair === undefined ? 'is not name=value' : headersFormat.checkEntry?.(pair[0], pair[1]);
      if (pair === undefined || reason !== undefined) problems.warn(name, `one of its headers ${reason ?? ''}; ignored`);
      else merged.set(pair[0].toLowerCase(), pair);
    }
  }
  return [...merged.values()];
}

/** The specification discards the whole variable when a part of it cannot be decoded. */
function readResource(env: Env, problems: Problems): Pairs<string> {
  const attributes = new Map<string, string>();
  for (const member of (valueOf(env, 'OTEL_RESOURCE_ATTRIBUTES') ?? '').split(',')) {
    if (member.trim() === '') continue;
    const pair = readPair(member);
    const reason = pair === undefined ? 'is not key=value with percent-encoding' : attributesFormat.checkEntry?.(pair[0], pair[1]);
    if (pair === undefined || reason !== undefined) {
      problems.warn('OTEL_RESOURCE_ATTRIBUTES', `${quote(member)} ${reason ?? ''}; all of it is ignored`);
      attributes.clear();
      break;
    }
    attributes.set(pair[0], pair[1]);
  }
  const serviceName = valueOf(env, 'OTEL_SERVICE_NAME');
  if (serviceName !== undefined) attributes.set('service.name', serviceName);
  return [...attributes];
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

function readNumber(env: Env, name: string, min: number, max: number, problems: Problems): number | undefined {
  const variable = firstValid(env, { names: [name], read: integer(min, max) }, problems);
  return variable === undefined ? undefined : Number(variable.value);
}

function readTruth(env: Env, name: string, problems: Problems): boolean {
  const text = valueOf(env, name)?.toLowerCase();
  if (text !== undefined && text !== 'true' && text !== 'false') problems.warn(name, `${quote(text)} is not true or false; taken as false`);
  return text === 'true';
}

function valueOf(env: Env, name: string): string | undefined {
  const text = env[name]?.trim();
  return text === '' ? undefined : text;
}

function isSet(env: Env, name: string): boolean {
  return valueOf(env, name) !== undefined;
}

function asItIs(text: string): Parsed<string> {
  return { ok: true, value: text };
}

function truth(text: string): Parsed<string> {
  return /^(true|false)$/i.test(text) ? { ok: true, value: text.toLowerCase() } : { ok: false, reason: 'is not true or false' };
}

function oneOf(words: readonly string[]): Rule['read'] {
  return (text) => {
    const word = text.toLowerCase();
    return words.includes(word) ? { ok: true, value: word } : { ok: false, reason: `is not one of ${words.join(', ')}` };
  };
}

function translated(words: Readonly<Record<string, string>>): Rule['read'] {
  const translations = new Map(Object.entries(words));
  return (text) => {
    const value = translations.get(text.toLowerCase());
    return value === undefined ? { ok: false, reason: `is not one of ${[...translations.keys()].join(', ')}` } : { ok: true, value };
  };
}

function integer(min: number, max: number): Rule['read'] {
  return (text) => {
    const value = Number(text);
    return /^\d{1,10}$/.test(text) && value >= min && value <= max
      ? { ok: true, value: String(value) }
      : { ok: false, reason: `is not a whole number from ${min} to ${max}` };
  };
}

function milliseconds(min: number, max: number): Rule['read'] {
  const read = integer(min, max);
  return (text) => {
    const parsed = read(text);
    return parsed.ok ? { ok: true, value: `${parsed.value}ms` } : parsed;
  };
}
