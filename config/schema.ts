import type convict from 'convict';
import { choice, leaf } from './leaf.ts';
import type { Pairs } from './map-formats.ts';

/*
 * Every key of the configuration, once: convict takes defaults, variables, flags and formats from here, and the published JSON Schema
 * is generated from the same definitions.
 */

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const DEFAULT_PERIOD_MS = 5 * SECOND_MS;
export const MIN_PERIOD_MS = 10;
export const MAX_PERIOD_MS = DAY_MS;

const PERIOD = { format: 'duration', default: null, nullable: true, min: MIN_PERIOD_MS, max: MAX_PERIOD_MS } as const;

interface PeriodKey {
  readonly period: number | null;
}

/** neuron-monitor's keys at the root, beside its two lists. */
export const rootSchema: convict.Schema<PeriodKey> = {
  period: leaf({ ...PERIOD, doc: 'Time between two updates of every group that does not say otherwise; 5s by default.' }),
};

/** An entry of `neuron_runtimes`, beside its list of metrics. */
export const runtimeSchema: convict.Schema<PeriodKey & { readonly tag_filter: string | null }> = {
  tag_filter: leaf({
    format: 'tag_filter',
    default: null,
    nullable: true,
    doc: 'Regular expression (RE2) found anywhere in the tag of a Neuron process; every process when left out. The first entry that matches counts.',
  }),
  period: leaf({ ...PERIOD, doc: 'Period of the groups of this entry; the root period by default.' }),
};

/** An entry of a list of metric groups, beside its type. */
export const groupSchema: convict.Schema<PeriodKey> = {
  period: leaf({ ...PERIOD, doc: 'Period of this group; that of its surroundings by default.' }),
};

export interface AgentSettings {
  readonly source: {
    readonly spec: string;
    readonly speed: 'recorded' | 'max';
    readonly procfs: 'auto' | 'on' | 'off';
    readonly nds: { readonly enabled: boolean };
    readonly imds: { readonly enabled: boolean; readonly endpoint: string; readonly budget: number };
    readonly neuron_monitor: { readonly path: string | null; readonly stall_after: number | null };
  };
  readonly resource: { readonly attributes: Pairs<string | number | boolean> };
  readonly telemetry: {
    readonly log: { readonly verbosity: number; readonly format: 'text' | 'json' };
    readonly max_series: number;
    readonly self_metrics: boolean;
  };
  readonly metrics: Pairs<boolean>;
  readonly ecc_counts: 'cumulative' | 'tally';
}

/** The agent's own keys, `exporters` aside. */
export const agentSchema: convict.Schema<AgentSettings> = {
  source: {
    spec: leaf({
      format: 'source_spec',
      default: 'auto',
      arg: 'source',
      doc: 'Where data come from: auto, native, - (a neuron-monitor stream on stdin), neuron-monitor[:PATH], file:PATH or virtual[:INSTANCE_TYPE].',
    }),
    speed: choice(['recorded', 'max'], {
      default: 'recorded',
      arg: 'speed',
      doc: 'Pace at which a recorded stream (file:PATH) is replayed.',
    }),
    procfs: choice(['auto', 'on', 'off'], {
      default: 'auto',
      doc: 'Whether the groups that /proc can serve are read from there: auto only where the chosen source does not serve them, on always, off never.',
    }),
    nds: {
      enabled: leaf({
        format: 'flag',
        default: false,
        doc: "Read per-process data from the driver's datastore. Not proven on hardware.",
      }),
    },
    imds: {
      enabled: leaf({
        format: 'flag',
        default: true,
        env: 'AWS_EC2_METADATA_DISABLED',
        doc: 'Ask the EC2 instance metadata service (IMDSv2) who this host is.',
      }),
      endpoint: leaf({
        format: 'url',
        default: 'http://169.254.169.254',
        env: 'AWS_EC2_METADATA_SERVICE_ENDPOINT',
        doc: 'Address of the instance metadata service.',
      }),
      budget: leaf({
        format: 'duration',
        default: SECOND_MS,
        min: 10,
        max: 60 * SECOND_MS,
        doc: 'Time that one round of questions to the instance metadata service may take.',
      }),
    },
    neuron_monitor: {
      path: leaf({
        format: 'absolute_path',
        default: null,
        nullable: true,
        doc: 'The neuron-monitor binary; looked up in PATH, then in /opt/aws/neuron/bin, when left out.',
      }),
      stall_after: leaf({
        format: 'duration',
        default: null,
        nullable: true,
        min: SECOND_MS,
        max: DAY_MS,
        doc: 'A neuron-monitor that says nothing for this long is started again; never when left out.',
      }),
    },
  },
  resource: {
    attributes: leaf({
      format: 'attributes',
      default: [],
      doc: 'Attributes of every OpenTelemetry resource; they win over what the agent finds out. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over these.',
    }),
  },
  telemetry: {
    log: {
      verbosity: leaf({
        format: 'integer',
        default: 3,
        min: 0,
        max: 4,
        arg: 'verbosity',
        env: 'OTEL_LOG_LEVEL',
        doc: 'Log on stderr: 0 nothing, 1 errors, 2 warnings, 3 state changes, 4 every cycle.',
      }),
      format: choice(['text', 'json'], { default: 'text', arg: 'logFormat', doc: 'Form of the log lines.' }),
    },
    max_series: leaf({
      format: 'integer',
      default: 50_000,
      min: 100,
      max: 10_000_000,
      doc: 'Series kept in memory at most; more are refused and counted.',
    }),
    self_metrics: leaf({ format: 'flag', default: true, doc: "Export the agent's own metrics." }),
  },
  metrics: leaf({ format: 'toggles', default: [], doc: 'OpenTelemetry metric name → true or false: switches single metrics on or off.' }),
  ecc_counts: choice(['cumulative', 'tally'], {
    default: 'cumulative',
    doc: 'How ECC values are read: as running totals with resets, or as counts of the period, which is how neuron-monitor-prometheus.py adds them up.',
  }),
};
