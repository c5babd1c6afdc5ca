/** OTLP transports, in the spelling of `OTEL_EXPORTER_OTLP_PROTOCOL`. */
export const OTLP_PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
export type OtlpProtocol = (typeof OTLP_PROTOCOLS)[number];

/** zstd is outside the OTLP specification; the Collector's HTTP receiver takes it by default. */
export const OTLP_COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;
export type OtlpCompression = (typeof OTLP_COMPRESSIONS)[number];

/** Spelling of `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`. */
export const OTLP_TEMPORALITIES = ['cumulative', 'delta', 'lowmemory'] as const;
export type OtlpTemporality = (typeof OTLP_TEMPORALITIES)[number];

/** A value from the configuration, or the file that holds it; the file is read again when it changes. */
export type HeaderValue = string | { readonly file: string };

/** Files in PEM form, read again when they change. */
export interface OtlpTls {
  /** Trusted roots instead of the system's. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Name expected in the server's certificate instead of the endpoint's host. */
  readonly serverName?: string;
  /** Accepts any server certificate. */
  readonly insecureSkipVerify?: boolean;
}

export interface OtlpQueueOptions {
  /** Folder of this destination alone, mode 0700; memory only when absent. */
  readonly directory?: string;
  /** Bytes on disk at most; the oldest segment goes first. */
  readonly maxBytes: number;
  /** Bytes in memory at most: all there is without a directory, the reserve while the disk fails. */
  readonly maxMemoryBytes: number;
  /** Requests older than this are dropped. */
  readonly maxAgeMs: number;
}

export interface OtlpBatchOptions {
  /** Data points in one request at most. */
  readonly maxPoints: number;
  /** Uncompressed bytes of one request at most. */
  readonly maxBytes: number;
}

/** One OTLP destination. */
export interface OtlpOptions {
  readonly id: string;
  /** Where requests go, path included: `http://localhost:4318/v1/metrics`; for gRPC only scheme, host and port count. */
  readonly endpoint: string;
  readonly protocol: OtlpProtocol;
  readonly headers?: Readonly<Record<string, HeaderValue>>;
  readonly compression: OtlpCompression;
  /** For one attempt, from connecting to the end of the response. */
  readonly timeoutMs: number;
  readonly temporality: OtlpTemporality;
  /** Form of the latency histograms; exponential when absent. */
  readonly histogram?: 'exponential' | 'explicit';
  readonly tls?: OtlpTls;
  readonly queue?: Partial<OtlpQueueOptions>;
  readonly batch?: Partial<OtlpBatchOptions>;
}

export const QUEUE_DEFAULTS = {
  maxBytes: 256 * 1024 * 1024,
  maxMemoryBytes: 16 * 1024 * 1024,
  maxAgeMs: 24 * 3_600_000,
} as const satisfies OtlpQueueOptions;

/** The specification lets a server refuse requests above 64 MiB; many gateways stop at 4 MiB. */
export const BATCH_DEFAULTS = { maxPoints: 10_000, maxBytes: 4 * 1024 * 1024 } as const satisfies OtlpBatchOptions;
