import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { failureText, readRegularFile, unreadable } from '../../src/regular-file.ts';
import { Secret } from '../../src/secret.ts';
import {
  absolutePath,
  boolean,
  bytes,
  choice,
  defaultsOf,
  duration,
  endpoint,
  headers,
  integer,
  path,
  refuseGiven,
  text,
} from '../../src/settings.ts';
import type { ExporterType, Section, SettingsOf, SettingsReader } from '../../src/settings.ts';
import { MAX_CREDENTIAL_BYTES } from '../delivery/credentials.ts';

const SECOND_MS = 1_000;
const DAY_MS = 24 * 3_600_000;
const MIB = 1024 * 1024;

/** OTLP transports, in the spelling of `OTEL_EXPORTER_OTLP_PROTOCOL`. */
export const OTLP_PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
/** zstd is outside the OTLP specification; the Collector's HTTP receiver takes it by default. */
export const OTLP_COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;
/** Spelling of `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`. */
const TEMPORALITIES = ['cumulative', 'delta', 'lowmemory'] as const;

/**
 * One OTLP destination. Variables of the OpenTelemetry specification fill the exporter called `otlp`. Where the specification has a
 * generic and a metrics variable, the generic one counts when the metrics one is not set.
 */
const SECTION = {
  endpoint: endpoint({
    default: null,
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    doc: 'Base URL of the receiver, to which /v1/metrics is added for HTTP; http://localhost:4318, or :4317 for gRPC, by default.',
  }),
  metrics_endpoint: endpoint({
    default: null,
    env: 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
    doc: 'URL that is used as it is, instead of endpoint.',
  }),
  implementation: choice(['native', 'sdk'], {
    default: 'native',
    doc: "The agent's own exporter with its queue, or the exporter of the OpenTelemetry SDK: an escape hatch without a queue, see docs/otlp.md.",
  }),
  protocol: choice(OTLP_PROTOCOLS, {
    default: 'http/protobuf',
    env: 'OTEL_EXPORTER_OTLP_METRICS_PROTOCOL',
    envAlso: 'OTEL_EXPORTER_OTLP_PROTOCOL',
    doc: 'Transport and encoding.',
  }),
  headers: headers({
    default: [],
    env: 'OTEL_EXPORTER_OTLP_METRICS_HEADERS',
    envAlso: 'OTEL_EXPORTER_OTLP_HEADERS',
    sensitive: true,
    doc: 'Headers of every request. A value {file: PATH} is read from that file, again whenever it changes. Values are never shown.',
  }),
  compression: choice(OTLP_COMPRESSIONS, {
    default: 'gzip',
    env: 'OTEL_EXPORTER_OTLP_METRICS_COMPRESSION',
    envAlso: 'OTEL_EXPORTER_OTLP_COMPRESSION',
    doc: 'Compression of requests, while they wait in the queue as well; zstd is not part of the OTLP specification, but the Collector takes it.',
  }),
  timeout: duration({
    default: 10 * SECOND_MS,
    min: 10,
    max: 600 * SECOND_MS,
    env: 'OTEL_EXPORTER_OTLP_METRICS_TIMEOUT',
    envAlso: 'OTEL_EXPORTER_OTLP_TIMEOUT',
    envDefault: 'OTEL_METRIC_EXPORT_TIMEOUT',
    doc: 'Time for one attempt, from connecting to the end of the response.',
  }),
  temporality: choice(TEMPORALITIES, {
    default: 'cumulative',
    env: 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE',
    doc: 'Whether counters and histograms carry totals since their start or what was added since the last request.',
  }),
  histogram: choice(['exponential', 'explicit'], {
    default: 'exponential',
    env: 'OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION',
    envWords: { explicit_bucket_histogram: 'explicit', base2_exponential_bucket_histogram: 'exponential' },
    doc: 'Form of the latency histograms: exponential, or explicit buckets for receivers that know only those.',
  }),
  process_attributes: boolean({
    default: false,
    doc: 'Repeat pid, tag, pod and container of a Neuron process as attributes of its points, for backends that keep no attributes of the resource.',
  }),
  tls: {
    ca_file: path({
      default: null,
      env: 'OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE',
      envAlso: 'OTEL_EXPORTER_OTLP_CERTIFICATE',
      doc: 'Trusted roots (PEM) instead of those of Node and of the system.',
    }),
    cert_file: path({
      default: null,
      env: 'OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE',
      envAlso: 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE',
      doc: 'Client certificate (PEM), with key_file.',
    }),
    key_file: path({
      default: null,
      env: 'OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY',
      envAlso: 'OTEL_EXPORTER_OTLP_CLIENT_KEY',
      doc: 'Private key of the client certificate (PEM).',
    }),
    server_name: text({
      default: null,
      pattern: '^[A-Za-z0-9_.-]{1,255}$',
      expected: 'a host name',
      doc: "Name expected in the server's certificate instead of the endpoint's host.",
    }),
    insecure: boolean({
      default: false,
      env: 'OTEL_EXPORTER_OTLP_METRICS_INSECURE',
      envAlso: 'OTEL_EXPORTER_OTLP_INSECURE',
      doc: 'gRPC without TLS when the endpoint does not say http:// or https://.',
    }),
    insecure_skip_verify: boolean({ default: false, doc: 'Accept any server certificate. For tests only.' }),
  },
  queue: {
    directory: absolutePath({
      default: null,
      doc: 'Folder of this exporter alone, for what could not be sent yet; memory only when left out.',
    }),
    max_bytes: bytes({ default: 256 * MIB, min: MIB, max: 2 ** 50, doc: 'Bytes on disk at most; the oldest go first.' }),
    max_memory_bytes: bytes({
      default: 16 * MIB,
      min: 64 * 1024,
      max: 2 ** 40,
      doc: 'Bytes in memory at most: the whole queue without a directory, the reserve while the disk fails.',
    }),
    max_age: duration({ default: DAY_MS, min: SECOND_MS, max: 365 * DAY_MS, doc: 'Older requests are dropped.' }),
  },
  batch: {
    max_points: integer({ default: 10_000, min: 1, max: 1_000_000, doc: 'Data points in one request at most.' }),
    // The specification lets a server refuse requests above 64 MiB; many gateways stop at 4 MiB.
    max_bytes: bytes({ default: 4 * MIB, min: 4 * 1024, max: 64 * MIB, doc: 'Uncompressed bytes of one request at most.' }),
  },
} satisfies Section;

type Given = SettingsOf<typeof SECTION>;

/** Settings of one destination. `endpoint` is resolved: the URL of each request, or scheme, host and port for gRPC. */
export type OtlpSettings = Given & { readonly endpoint: string };

export type OtlpProtocol = Given['protocol'];
export type OtlpCompression = Given['compression'];
export type OtlpTemporality = Given['temporality'];

export const OTLP_DEFAULTS: Given = defaultsOf(SECTION);

export const OTLP_TYPE: ExporterType<OtlpSettings> = {
  description: 'One OTLP destination.',
  section: SECTION,
  isNamed: true,
  read(reader) {
    const given = reader.read(SECTION);
    refuseCombinations(given, reader);
    if (given.implementation === 'sdk') refuseWithSdk(given, reader);
    return { ...given, endpoint: resolvedEndpoint(given, reader) };
  },
  verify(settings, reader) {
    verifyFiles(settings, reader);
    verifyQueue(settings.queue.directory, reader);
  },
  claims: ({ queue }) => (queue.directory === null ? [] : [`the folder ${JSON.stringify(queue.directory.replace(/(.)\/+$/, '$1'))}`]),
};

function refuseCombinations({ tls, protocol, compression }: Given, reader: SettingsReader): void {
  if ((tls.cert_file === null) !== (tls.key_file === null)) reader.refuse('tls', 'needs cert_file and key_file together');
  if (protocol === 'grpc' && compression === 'zstd') reader.refuse('compression', 'zstd is not available with grpc');
}

const NOT_WITH_SDK = 'is not available with implementation: sdk';

/** The SDK's exporters have no queue and no limits of a request. Over gRPC they take headers and certificates from variables only. */
function refuseWithSdk({ protocol, compression }: Given, reader: SettingsReader): void {
  const keys = ['queue', 'batch'] as const;
  for (const key of keys)
    refuseGiven(
      reader,
      Object.keys(SECTION[key]).map((name) => `${key}.${name}`),
      NOT_WITH_SDK,
    );
  if (compression === 'zstd') reader.refuse('compression', 'zstd is not available with implementation: sdk');
  if (protocol !== 'grpc') return;
  const fromFile = ['headers', 'tls.ca_file', 'tls.cert_file', 'tls.key_file'].filter((key) => reader.origin(key) === 'file');
  for (const key of fromFile)
    reader.refuse(key, 'is not available with implementation: sdk and grpc; the SDK reads the variable of the specification');
  refuseGiven(reader, ['tls.server_name', 'tls.insecure_skip_verify'], 'is not available with implementation: sdk and grpc');
}

/**
 * A metrics endpoint is used as it is; to the general one `/v1/metrics` is added, unless the file already ends in it. A general
 * endpoint from the environment comes before a metrics endpoint in the file.
 */
function resolvedEndpoint(given: Given, reader: SettingsReader): string {
  const { protocol, tls } = given;
  const isGeneralFromEnvironment = reader.origin('endpoint') === 'environment';
  const isFinal = given.metrics_endpoint !== null && (!isGeneralFromEnvironment || reader.origin('metrics_endpoint') === 'environment');
  const key = isFinal ? 'metrics_endpoint' : 'endpoint';
  const address = given[key];
  if (address === null) return defaultEndpoint(protocol);
  if (protocol === 'grpc') {
    // Without a scheme the connection is encrypted unless `tls.insecure` is set.
    const target = new URL(address.includes('://') ? address : `${tls.insecure ? 'http' : 'https'}://${address}`);
    if (target.pathname !== '/' || target.search !== '') reader.refuse(key, 'has a path, which gRPC does not know');
    return target.origin;
  }
  if (!address.includes('://')) {
    reader.refuse(key, 'does not begin with http:// or https://');
    return defaultEndpoint(protocol);
  }
  const target = new URL(address);
  const isComplete = target.pathname.endsWith('/v1/metrics');
  if (isFinal || (isComplete && !isGeneralFromEnvironment)) return target.href;
  if (isComplete) reader.warn(key, 'ends in /v1/metrics, to which another /v1/metrics is added');
  target.pathname = `${target.pathname.replace(/\/+$/, '')}/v1/metrics`;
  return target.href;
}

function defaultEndpoint(protocol: Given['protocol']): string {
  return protocol === 'grpc' ? 'http://localhost:4317' : 'http://localhost:4318/v1/metrics';
}

function verifyFiles({ headers: sent, tls }: Given, reader: SettingsReader): void {
  for (const [name, value] of sent) {
    const reason = value instanceof Secret ? undefined : unreadable(value.file, MAX_CREDENTIAL_BYTES);
    if (reason !== undefined) reader.refuse('headers', `${name}: its file ${reason}`);
  }
  let isReadable = true;
  for (const key of ['ca_file', 'cert_file', 'key_file'] as const) {
    const file = tls[key];
    const reason = file === null ? undefined : unreadable(file, MAX_CREDENTIAL_BYTES);
    if (reason === undefined) continue;
    isReadable = false;
    reader.refuse(`tls.${key}`, `${JSON.stringify(file)} ${reason}`);
  }
  if (isReadable) verifyCertificates(tls, reader);
}

function verifyCertificates({ ca_file: ca, cert_file: cert, key_file: key }: Given['tls'], reader: SettingsReader): void {
  if (ca === null && cert === null) return;
  try {
    process.getBuiltinModule('node:tls').createSecureContext({
      ...(ca === null ? {} : { ca: readRegularFile(ca, MAX_CREDENTIAL_BYTES) }),
      ...(cert === null ? {} : { cert: readRegularFile(cert, MAX_CREDENTIAL_BYTES) }),
      ...(key === null ? {} : { key: readRegularFile(key, MAX_CREDENTIAL_BYTES) }),
    });
  } catch (thrown) {
    reader.refuse('tls', `has certificates that cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/** A folder that cannot be written is no error: requests wait in memory until it can be. */
function verifyQueue(directory: string | null, reader: SettingsReader): void {
  if (directory === null) return;
  try {
    // The slash makes a file in the place of a folder an error.
    accessSync(`${nearestFolder(directory)}/`, constants.W_OK | constants.X_OK);
  } catch (thrown) {
    reader.warn('queue.directory', `cannot be written (${failureText(thrown)}): requests are kept in memory until it can`);
  }
}

function nearestFolder(folder: string): string {
  return existsSync(folder) || folder === '/' ? folder : nearestFolder(dirname(folder));
}
