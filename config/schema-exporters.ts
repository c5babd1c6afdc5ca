import type convict from 'convict';
import { BATCH_DEFAULTS, OTLP_COMPRESSIONS, OTLP_PROTOCOLS, OTLP_TEMPORALITIES, QUEUE_DEFAULTS } from '../exporters/otlp/options.ts';
import type { HeaderValue, OtlpCompression, OtlpProtocol, OtlpTemporality } from '../exporters/otlp/options.ts';
import { DEFAULT_STRATEGY, TRANSLATION_STRATEGIES } from '../exporters/prometheus/naming.ts';
import { choice, leaf } from './leaf.ts';
import type { Pairs } from './map-formats.ts';
import type { PrometheusSettings } from './prometheus-settings.ts';

export const NAMINGS = ['otel', 'legacy', 'both'] as const;
export type Naming = (typeof NAMINGS)[number];

export const HISTOGRAM_FORMS = ['exponential', 'explicit'] as const;
export type HistogramForm = (typeof HISTOGRAM_FORMS)[number];

export const prometheusSchema: convict.Schema<PrometheusSettings> = {
  host: leaf({
    format: 'text',
    default: '127.0.0.1',
    env: 'OTEL_EXPORTER_PROMETHEUS_HOST',
    arg: 'prometheusHost',
    pattern: '^[A-Za-z0-9_.:%\\[\\]-]{1,255}$',
    expected: 'a host name or an IP address',
    doc: 'Address to listen on; 0.0.0.0 or :: for all.',
  }),
  port: leaf({
    format: 'integer',
    default: 9464,
    min: 0,
    max: 65_535,
    env: 'OTEL_EXPORTER_PROMETHEUS_PORT',
    arg: 'prometheusPort',
    doc: 'Port to listen on; 0 takes a free one.',
  }),
  naming: choice(NAMINGS, {
    default: 'otel',
    arg: 'naming',
    doc: 'Names on the page: OpenTelemetry, those of neuron-monitor-prometheus.py, or both.',
  }),
  translation_strategy: choice(TRANSLATION_STRATEGIES, {
    default: DEFAULT_STRATEGY,
    doc: 'How OpenTelemetry names become Prometheus names, as in the OpenTelemetry specification.',
  }),
  listen: leaf({
    format: 'listen_addresses',
    default: [],
    arg: 'webListen',
    doc: 'Addresses to listen on, each HOST:PORT, [IPV6]:PORT or :PORT; they take the place of host and port.',
  }),
  systemd_socket: leaf({
    format: 'flag',
    default: false,
    arg: 'webSystemdSocket',
    doc: 'Take connections from the sockets that systemd passes (a .socket unit) instead of listening on addresses.',
  }),
  web_config_file: leaf({
    format: 'path',
    default: null,
    nullable: true,
    arg: 'webConfigFile',
    doc: 'Web configuration file as Prometheus exporters take it: TLS, client certificates, users, headers, rate limit; read again when it changes.',
  }),
  telemetry_path: leaf({
    format: 'text',
    default: '/metrics',
    arg: 'webTelemetryPath',
    pattern: '^/[A-Za-z0-9_./-]{0,254}$',
    expected: 'a path such as /metrics',
    doc: 'Path of the page.',
  }),
  max_requests: leaf({
    format: 'integer',
    default: 40,
    min: 1,
    max: 10_000,
    arg: 'webMaxRequests',
    doc: 'Scrapes answered at the same time; further ones get status 503.',
  }),
  scope_labels: leaf({ format: 'flag', default: false, doc: 'Put otel_scope_name and otel_scope_version on every series.' }),
  identity_labels: leaf({ format: 'flag', default: true, doc: 'Put process and pod on the series of Neuron processes.' }),
  resource_labels: leaf({
    format: 'names',
    default: [],
    doc: 'Further resource attributes that become labels of every series; a trailing * stands for any ending.',
  }),
  target_info: leaf({ format: 'flag', default: true, doc: "Serve target_info with the host's resource." }),
  legacy: {
    pod_labels: leaf({
      format: 'flag',
      default: false,
      arg: 'legacyPodLabels',
      doc: 'Put pod_name, namespace and container_name on the legacy families of Neuron processes.',
    }),
    process_label: leaf({
      format: 'flag',
      default: false,
      doc: 'Put pid on the legacy families of Neuron processes, which neuron-monitor-prometheus.py does not do.',
    }),
  },
};

export interface OtlpSettings {
  readonly endpoint: string | null;
  readonly metrics_endpoint: string | null;
  readonly protocol: OtlpProtocol;
  readonly headers: Pairs<HeaderValue>;
  readonly compression: OtlpCompression;
  readonly timeout: number;
  readonly temporality: OtlpTemporality;
  readonly histogram: HistogramForm;
  readonly tls: {
    readonly ca_file: string | null;
    readonly cert_file: string | null;
    readonly key_file: string | null;
    readonly server_name: string | null;
    readonly insecure: boolean;
    readonly insecure_skip_verify: boolean;
  };
  readonly queue: {
    readonly directory: string | null;
    readonly max_bytes: number;
    readonly max_memory_bytes: number;
    readonly max_age: number;
  };
  readonly batch: { readonly max_points: number; readonly max_bytes: number };
}

const SECOND_MS = 1_000;
const DAY_MS = 24 * 3_600_000;
const MIB = 1024 * 1024;

const TLS_FILE = { format: 'path', default: null, nullable: true } as const;

/**
 * Variables of the OpenTelemetry specification fill the exporter called `otlp`. Where the specification has a generic and a
 * metrics variable, the metrics one stands here and takes the generic one's value when it is not set.
 */
export const otlpSchema: convict.Schema<OtlpSettings> = {
  endpoint: leaf({
    format: 'endpoint',
    default: null,
    nullable: true,
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    doc: 'Base URL of the receiver, to which /v1/metrics is added for HTTP; http://localhost:4318, or :4317 for gRPC, by default.',
  }),
  metrics_endpoint: leaf({
    format: 'endpoint',
    default: null,
    nullable: true,
    env: 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
    doc: 'URL that is used as it is, instead of endpoint.',
  }),
  protocol: choice(OTLP_PROTOCOLS, {
    default: 'http/protobuf',
    env: 'OTEL_EXPORTER_OTLP_METRICS_PROTOCOL',
    doc: 'Transport and encoding.',
  }),
  headers: leaf({
    format: 'headers',
    default: [],
    sensitive: true,
    doc: 'Headers of every request. A value {file: PATH} is read from that file, again whenever it changes. Values are never shown.',
  }),
  compression: choice(OTLP_COMPRESSIONS, {
    default: 'none',
    env: 'OTEL_EXPORTER_OTLP_METRICS_COMPRESSION',
    doc: 'Compression of requests; zstd is not part of the OTLP specification, but the Collector takes it.',
  }),
  timeout: leaf({
    format: 'duration',
    default: 10 * SECOND_MS,
    min: 10,
    max: 600 * SECOND_MS,
    env: 'OTEL_EXPORTER_OTLP_METRICS_TIMEOUT',
    doc: 'Time for one attempt, from connecting to the end of the response.',
  }),
  temporality: choice(OTLP_TEMPORALITIES, {
    default: 'cumulative',
    env: 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE',
    doc: 'Whether counters and histograms carry totals since their start or what was added since the last request.',
  }),
  histogram: choice(HISTOGRAM_FORMS, {
    default: 'exponential',
    env: 'OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION',
    doc: 'Form of the latency histograms: exponential, or explicit buckets for receivers that know only those.',
  }),
  tls: {
    ca_file: leaf({ ...TLS_FILE, env: 'OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE', doc: "Trusted roots (PEM) instead of the system's." }),
    cert_file: leaf({ ...TLS_FILE, env: 'OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE', doc: 'Client certificate (PEM), with key_file.' }),
    key_file: leaf({ ...TLS_FILE, env: 'OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY', doc: 'Private key of the client certificate (PEM).' }),
    server_name: leaf({
      format: 'text',
      default: null,
      nullable: true,
      pattern: '^[A-Za-z0-9_.-]{1,255}$',
      expected: 'a host name',
      doc: "Name expected in the server's certificate instead of the endpoint's host.",
    }),
    insecure: leaf({
      format: 'flag',
      default: false,
      env: 'OTEL_EXPORTER_OTLP_METRICS_INSECURE',
      doc: 'gRPC without TLS when the endpoint does not say http:// or https://.',
    }),
    insecure_skip_verify: leaf({ format: 'flag', default: false, doc: 'Accept any server certificate. For tests only.' }),
  },
  queue: {
    directory: leaf({
      format: 'absolute_path',
      default: null,
      nullable: true,
      doc: 'Folder of this exporter alone, for what could not be sent yet; memory only when left out.',
    }),
    max_bytes: leaf({
      format: 'bytes',
      default: QUEUE_DEFAULTS.maxBytes,
      min: MIB,
      max: 2 ** 50,
      doc: 'Bytes on disk at most; the oldest go first.',
    }),
    max_memory_bytes: leaf({
      format: 'bytes',
      default: QUEUE_DEFAULTS.maxMemoryBytes,
      min: 64 * 1024,
      max: 2 ** 40,
      doc: 'Bytes in memory at most: the whole queue without a directory, the reserve while the disk fails.',
    }),
    max_age: leaf({
      format: 'duration',
      default: QUEUE_DEFAULTS.maxAgeMs,
      min: SECOND_MS,
      max: 365 * DAY_MS,
      doc: 'Older requests are dropped.',
    }),
  },
  batch: {
    max_points: leaf({
      format: 'integer',
      default: BATCH_DEFAULTS.maxPoints,
      min: 1,
      max: 1_000_000,
      doc: 'Data points in one request at most.',
    }),
    max_bytes: leaf({
      format: 'bytes',
      default: BATCH_DEFAULTS.maxBytes,
      min: 4 * 1024,
      max: 64 * MIB,
      doc: 'Uncompressed bytes of one request at most.',
    }),
  },
};
