import { isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Node } from 'yaml';
import { isAbsolute, join } from 'node:path';
import { visit } from 'yaml';
import { AgentError } from '../../../src/errors.ts';
import { CIPHER_SUITES, CLIENT_AUTH_TYPES, CURVES, HTTP2_SUITES, TLS13_SUITES, TLS_VERSIONS } from './tls-names.ts';
import type { ClientAuthType, TlsVersion } from './tls-names.ts';

/** PEM text in the configuration itself, or the path of a file with it. */
export type PemSource = { readonly pem: string } | { readonly file: string };

/** `tls_server_config`. */
export interface TlsConfig {
  readonly certificate: PemSource;
  readonly key: PemSource;
  readonly clientCa: PemSource | undefined;
  readonly clientAuthType: ClientAuthType;
  /** Undefined: any name; empty: none. */
  readonly clientAllowedSans: readonly string[] | undefined;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Go's names; empty: the defaults. */
  readonly cipherSuites: readonly string[];
  readonly prefersServerOrder: boolean;
  /** Go's names; empty: the defaults. */
  readonly curves: readonly string[];
}

/** A web configuration file in the format of Prometheus' exporter-toolkit. */
export interface WebConfig {
  /** Undefined: plain HTTP. */
  readonly tls: TlsConfig | undefined;
  readonly http2: boolean;
  /** Headers of every answer. */
  readonly headers: ReadonlyMap<string, string>;
  /** User → bcrypt hash; without users everybody is served. */
  readonly users: ReadonlyMap<string, string>;
  readonly rateLimit: { readonly intervalMs: number; readonly burst: number } | undefined;
}

/** Headers that may be set, with their values where those are an enumeration. */
const HEADERS: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['Strict-Transport-Security', []],
  ['X-Content-Type-Options', ['nosniff']],
  ['X-Frame-Options', ['deny', 'sameorigin']],
  ['X-XSS-Protection', []],
  ['Content-Security-Policy', []],
]);

const TLS_MEMBERS = [
  'cert',
  'key',
  'client_ca',
  'cert_file',
  'key_file',
  'client_auth_type',
  'client_ca_file',
  'client_allowed_sans',
  'min_version',
  'max_version',
  'cipher_suites',
  'prefer_server_cipher_suites',
  'curve_preferences',
] as const;

/**
 * Reads a web configuration; relative paths in it start at `directory`. Throws an `AgentError` (`config_invalid`) that names every
 * problem. Files it points to are read elsewhere.
 */
export function parseWebConfig(text: string, directory: string): WebConfig {
  const problems = new Problems();
  const root = readYaml(text, problems);
  // Aliases are of no use in so small a file, and a way to make a small file large.
  if (root !== undefined) visit(root, { Alias: () => problems.add('', 'YAML aliases are not supported') });
  const sections = membersOf(root, '', ['tls_server_config', 'http_server_config', 'basic_auth_users', 'rate_limit'], problems);
  const http = membersOf(sections?.get('http_server_config'), 'http_server_config', ['http2', 'headers'], problems);
  const http2 = booleanOf(http?.get('http2'), 'http_server_config.http2', problems) ?? true;
  const config: WebConfig = {
    tls: readTls(membersOf(sections?.get('tls_server_config'), 'tls_server_config', TLS_MEMBERS, problems), { directory, http2 }, problems),
    http2,
    headers: readHeaders(http?.get('headers'), problems),
    users: readUsers(sections?.get('basic_auth_users'), problems),
    rateLimit: readRateLimit(sections?.get('rate_limit'), problems),
  };
  if (problems.list.length > 0) throw new AgentError('config_invalid', 'prometheus', problems.list.join('; '));
  return config;
}

function readTls(
  members: ReadonlyMap<string, unknown> | undefined,
  { directory, http2 }: { readonly directory: string; readonly http2: boolean },
  problems: Problems,
): TlsConfig | undefined {
  const text = (name: string): string | undefined => textOf(members?.get(name), `tls_server_config.${name}`, problems);
  const pem = (name: string): PemSource | undefined => pemSource(text(name), text(`${name}_file`), directory);
  const list = (name: string): readonly string[] | undefined => textsOf(members?.get(name), `tls_server_config.${name}`, problems);
  const [certificate, key, clientCa] = [pem('cert'), pem('key'), pem('client_ca')];
  const clientAuthType = oneOf(CLIENT_AUTH_TYPES, text('client_auth_type'), 'tls_server_config.client_auth_type', problems);
  const choices = readTlsChoices(text, list, problems);
  const prefersServerOrder =
    booleanOf(members?.get('prefer_server_cipher_suites'), 'tls_server_config.prefer_server_cipher_suites', problems) ?? true;
  if (certificate === undefined && key === undefined && clientCa === undefined && clientAuthType === undefined) return undefined;
  if (certificate === undefined) return problems.add('tls_server_config', 'missing one of cert or cert_file');
  if (key === undefined) return problems.add('tls_server_config', 'missing one of key or key_file');
  if (clientCa !== undefined && (clientAuthType ?? 'NoClientCert') === 'NoClientCert') {
    return problems.add('tls_server_config', "client CA's have been configured without a Client Auth Policy");
  }
  if (http2 && lacksHttp2Suite(choices)) problems.add('tls_server_config.cipher_suites', `HTTP/2 needs one of ${HTTP2_SUITES.join(', ')}`);
  return { certificate, key, clientCa, clientAuthType: clientAuthType ?? 'NoClientCert', prefersServerOrder, ...choices };
}

type TlsChoices = Pick<TlsConfig, 'clientAllowedSans' | 'minVersion' | 'maxVersion' | 'cipherSuites' | 'curves'>;

function readTlsChoices(
  text: (name: string) => string | undefined,
  list: (name: string) => readonly string[] | undefined,
  problems: Problems,
): TlsChoices {
  const version = (name: string): TlsVersion | undefined => {
    const value = text(name);
    return value === undefined || isTlsVersion(value) ? value : problems.add(`tls_server_config.${name}`, `unknown TLS version: ${value}`);
  };
  const cipherSuites = list('cipher_suites') ?? [];
  for (const suite of cipherSuites) {
    const isKnown = CIPHER_SUITES.has(suite) || TLS13_SUITES.some((known) => known === suite);
    if (!isKnown) problems.add('tls_server_config.cipher_suites', `unknown cipher: ${suite}`);
  }
  const curves = list('curve_preferences') ?? [];
  for (const curve of curves) if (!CURVES.has(curve)) problems.add('tls_server_config.curve_preferences', `unknown curve: ${curve}`);
  return {
    clientAllowedSans: list('client_allowed_sans'),
    minVersion: version('min_version') ?? 'TLS12',
    maxVersion: version('max_version') ?? 'TLS13',
    cipherSuites,
    curves,
  };
}

function lacksHttp2Suite({ cipherSuites, minVersion }: TlsChoices): boolean {
  return cipherSuites.length > 0 && minVersion !== 'TLS13' && !cipherSuites.some((suite) => HTTP2_SUITES.includes(suite));
}

/** A path wins over inline text; an empty one counts as none. */
function pemSource(pem: string | undefined, file: string | undefined, directory: string): PemSource | undefined {
  if (file !== undefined && file !== '') return { file: isAbsolute(file) ? file : join(directory, file) };
  return pem === undefined || pem === '' ? undefined : { pem };
}

function readHeaders(node: unknown, problems: Problems): ReadonlyMap<string, string> {
  const path = 'http_server_config.headers';
  const headers = new Map<string, string>();
  for (const [name, valueNode] of membersOf(node, path, undefined, problems) ?? []) {
    const value = textOf(valueNode, `${path}.${name}`, problems) ?? '';
    const allowed = HEADERS.get(name);
    if (allowed === undefined) problems.add(path, `HTTP header ${JSON.stringify(name)} can not be configured`);
    else if (allowed.length > 0 && !allowed.includes(value)) problems.add(`${path}.${name}`, `expected one of ${allowed.join(', ')}`);
    else if (/[^\t\u0020-\u007e\u0080-\u00ff]/.test(value)) problems.add(`${path}.${name}`, 'has a character that no header may have');
    else headers.set(name, value);
  }
  return headers;
}

/** The hash itself is checked as far as Go's `bcrypt.Cost` does; it never appears in a message. */
function readUsers(node: unknown, problems: Problems): ReadonlyMap<string, string> {
  const users = new Map<string, string>();
  for (const [name, valueNode] of membersOf(node, 'basic_auth_users', undefined, problems) ?? []) {
    const hash = textOf(valueNode, `basic_auth_users.${name}`, problems) ?? '';
    if (!/^\$2[^$]?\$(0[4-9]|[12]\d|3[01])\$/.test(hash) || hash.length < 59) problems.add(`basic_auth_users.${name}`, 'is no bcrypt hash');
    else users.set(name, hash);
  }
  return users;
}

function readRateLimit(node: unknown, problems: Problems): WebConfig['rateLimit'] {
  const members = membersOf(node, 'rate_limit', ['interval', 'burst'], problems);
  const interval = textOf(members?.get('interval'), 'rate_limit.interval', problems) ?? '0';
  const burst = integerOf(members?.get('burst'), 'rate_limit.burst', problems) ?? 0;
  const intervalMs = durationMs(interval) ?? problems.add('rate_limit.interval', 'is no duration such as 1s or 250ms');
  return intervalMs === undefined || intervalMs === 0 ? undefined : { intervalMs, burst };
}

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ns', 1e-6],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['μs', 1e-3],
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** A Go duration, or a bare number of nanoseconds. */
function durationMs(text: string): number | undefined {
  if (/^[+-]?\d+$/.test(text)) return Number(text) / 1e6;
  if (!/^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-z\u00b5\u03bc]+)/g))
    total += Number(amount) * (UNIT_MS.get(unit ?? '') ?? Number.NaN);
  return text.startsWith('-') ? -total : total;
}

function isTlsVersion(text: string): text is TlsVersion {
  return Object.hasOwn(TLS_VERSIONS, text);
}

function oneOf<T extends string>(values: readonly T[], text: string | undefined, path: string, problems: Problems): T | undefined {
  if (text === undefined || text === '') return undefined;
  return values.find((value) => value === text) ?? problems.add(path, `unknown value ${JSON.stringify(text)}`);
}

/** Collects what is wrong with a file, each with its path in it. */
export class Problems {
  readonly list: string[] = [];

  add(path: string, problem: string): undefined {
    this.list.push(path === '' ? problem : `${path}: ${problem}`);
    return undefined;
  }
}

/**
 * Reads the first YAML document of a text as exporter-toolkit's reader (yaml.v2, strict) does: YAML 1.1 words for booleans,
 * plain scalars of any kind where text is wanted, null as absent, unknown and repeated members refused.
 */
export function readYaml(text: string, problems: Problems): Node | undefined {
  const documents = parseAllDocuments(text, { version: '1.1', uniqueKeys: true });
  const [document] = 'empty' in documents ? [] : documents;
  for (const { message } of document?.errors ?? []) problems.add('', message.split('\n')[0] ?? message);
  return document?.contents ?? undefined;
}

/** Members of a mapping by name; undefined when it is absent or null, and when it is something else, which is a problem. */
export function membersOf(
  node: unknown,
  path: string,
  allowed: readonly string[] | undefined,
  problems: Problems,
): ReadonlyMap<string, unknown> | undefined {
  if (isAbsent(node)) return undefined;
  if (!isMap(node)) return problems.add(path, 'is not a mapping');
  const members = new Map<string, unknown>();
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : '';
    if (allowed?.includes(name) === false) problems.add(path, `unknown member ${JSON.stringify(name)}`);
    else members.set(name, value);
  }
  return members;
}

/** Text of a scalar as it stands in the file; undefined when absent. */
export function textOf(node: unknown, path: string, problems: Problems): string | undefined {
  if (isAbsent(node)) return undefined;
  if (!isScalar(node)) return problems.add(path, 'is not text');
  return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
}

export function booleanOf(node: unknown, path: string, problems: Problems): boolean | undefined {
  if (isAbsent(node)) return undefined;
  if (isScalar(node) && typeof node.value === 'boolean') return node.value;
  return problems.add(path, 'is neither true nor false');
}

export function integerOf(node: unknown, path: string, problems: Problems): number | undefined {
  if (isAbsent(node)) return undefined;
  if (isScalar(node) && typeof node.value === 'number' && Number.isSafeInteger(node.value)) return node.value;
  return problems.add(path, 'is not a whole number');
}

/** Texts of a list; a single text stands for a list of one. */
export function textsOf(node: unknown, path: string, problems: Problems): readonly string[] | undefined {
  if (isAbsent(node)) return undefined;
  if (!isSeq(node)) {
    const text = textOf(node, path, problems);
    return text === undefined ? undefined : [text];
  }
  return node.items.flatMap((item, index) => textOf(item, `${path}[${index}]`, problems) ?? []);
}

function isAbsent(node: unknown): boolean {
  return node === undefined || node === null || (isScalar(node) && node.value === null);
}
