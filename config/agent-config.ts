import type {
  OtlpBatchOptions,
  OtlpCompression,
  OtlpProtocol,
  OtlpQueueOptions,
  OtlpTemporality,
  OtlpTls,
} from '../exporters/otlp/options.ts';
import type { TranslationStrategy } from '../exporters/prometheus/naming.ts';
import type { RuntimeGroup, SystemGroup } from '../src/readings.ts';
import type { Verbosity } from '../src/log.ts';
import type { HistogramForm, Naming } from './schema-exporters.ts';
import type { Secret } from './secret.ts';
import type { SourceSpec } from './source-spec.ts';

export interface GroupSettings {
  readonly periodMs: number;
}

/** What is collected of the Neuron processes whose tag the filter finds; of all when there is no filter. */
export interface RuntimeEntry {
  readonly tagFilter?: string;
  readonly groups: Readonly<Partial<Record<RuntimeGroup, GroupSettings>>>;
}

export interface SourceConfig {
  readonly spec: SourceSpec;
  readonly speed: 'recorded' | 'max';
  readonly procfs: 'auto' | 'on' | 'off';
  readonly nds: { readonly enabled: boolean };
  readonly imds: { readonly enabled: boolean; readonly endpoint: string; readonly budgetMs: number };
  readonly neuronMonitor: { readonly path?: string; readonly stallAfterMs?: number };
}

export interface JsonStdoutConfig {
  readonly type: 'json_stdout';
  readonly id: string;
}

export interface PrometheusConfig {
  readonly type: 'prometheus';
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly naming: Naming;
  readonly translationStrategy: TranslationStrategy;
  /** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`; in place of host and port when there are any. */
  readonly listen: readonly string[];
  /** The sockets that systemd passes take the place of addresses. */
  readonly systemdSocket: boolean;
  readonly webConfigFile?: string;
  readonly telemetryPath: string;
  readonly maxRequests: number;
  readonly scopeLabels: boolean;
  readonly identityLabels: boolean;
  readonly resourceLabels: readonly string[];
  readonly targetInfo: boolean;
  readonly legacy: { readonly podLabels: boolean; readonly processLabel: boolean };
}

export interface OtlpConfig {
  readonly type: 'otlp';
  /** `otlp` or `otlp/NAME`. */
  readonly id: string;
  /** Resolved: where requests go, path included; for gRPC scheme, host and port. */
  readonly endpoint: string;
  readonly protocol: OtlpProtocol;
  /** A file's content is read by the exporter, again whenever it changes. */
  readonly headers: Readonly<Record<string, Secret | { readonly file: string }>>;
  readonly compression: OtlpCompression;
  readonly timeoutMs: number;
  readonly temporality: OtlpTemporality;
  readonly histogram: HistogramForm;
  readonly tls: OtlpTls;
  readonly queue: OtlpQueueOptions;
  readonly batch: OtlpBatchOptions;
}

export type ExporterConfig = JsonStdoutConfig | PrometheusConfig | OtlpConfig;

/** The whole configuration after flags, environment, file and defaults. Plain data, secrets aside. */
export interface AgentConfig {
  /** The first entry whose filter finds a process's tag counts. */
  readonly runtimes: readonly RuntimeEntry[];
  readonly systemGroups: Readonly<Partial<Record<SystemGroup, GroupSettings>>>;
  /** Root period: that of everything that does not say otherwise. */
  readonly periodMs: number;
  readonly source: SourceConfig;
  readonly exporters: readonly ExporterConfig[];
  readonly resource: { readonly attributes: Readonly<Record<string, string | number | boolean>> };
  readonly telemetry: {
    readonly log: { readonly verbosity: Verbosity; readonly format: 'text' | 'json' };
    readonly maxSeries: number;
    readonly selfMetrics: boolean;
  };
  /** OpenTelemetry metric name → on or off, for those that differ from their own default. */
  readonly metrics: Readonly<Record<string, boolean>>;
  readonly eccCounts: 'cumulative' | 'tally';
}
