import { attributes, boolean, choice, duration, integer, tagFilter, toggles } from '../src/settings.ts';
import type { ExporterType, Section } from '../src/settings.ts';

/*
 * The keys of neuron-monitor's file and those of the agent as a whole. Sources and exporters declare their own sections; the command
 * line hands them over as a `Definition`. Defaults, variables, flags, formats, types and documents all come from these sections.
 */

const SECOND_MS = 1_000;
const DAY_MS = 24 * 3_600_000;

const PERIOD = { min: 10, max: DAY_MS } as const;

/** neuron-monitor's keys at the root, beside its two lists. */
export const ROOT_SECTION = {
  period: duration({
    ...PERIOD,
    default: 5 * SECOND_MS,
    nullable: true,
    envDefault: 'OTEL_METRIC_EXPORT_INTERVAL',
    doc: 'Time between two updates of every group that has no period of its own.',
  }),
} satisfies Section;

/** An entry of `neuron_runtimes`, beside its list of metrics. */
export const RUNTIME_SECTION = {
  tag_filter: tagFilter({
    default: null,
    doc: 'Regular expression (RE2) found anywhere in the tag of a Neuron process; every process when left out. The first entry that matches counts.',
  }),
  period: duration({ ...PERIOD, default: null, doc: 'Period of the groups of this entry; the root period by default.' }),
} satisfies Section;

/** An entry of a list of metric groups, beside its type. */
export const GROUP_SECTION = {
  period: duration({ ...PERIOD, default: null, doc: 'Period of this group; that of the entry or of the root by default.' }),
} satisfies Section;

/** The keys of the agent as a whole. */
export const AGENT_SECTION = {
  resource: {
    attributes: attributes({
      default: [],
      env: 'OTEL_RESOURCE_ATTRIBUTES',
      envMembers: { OTEL_SERVICE_NAME: 'service.name' },
      doc: 'Attributes of every OpenTelemetry resource; they win over what the agent finds out. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over these.',
    }),
  },
  telemetry: {
    log: {
      verbosity: integer({
        default: 3,
        min: 0,
        max: 4,
        flag: '--verbose',
        env: 'OTEL_LOG_LEVEL',
        envWords: { none: '0', error: '1', warn: '2', info: '3', debug: '4', verbose: '4', all: '4' },
        doc: 'Log on stderr: 0 nothing, 1 errors, 2 warnings, 3 state changes, 4 every cycle.',
      }),
      format: choice(['text', 'json'], { default: 'text', flag: '--log-format', doc: 'Form of the log lines.' }),
    },
    max_series: integer({
      default: 50_000,
      min: 100,
      max: 10_000_000,
      doc: 'Series kept in memory at most; more are refused and counted.',
    }),
    self_metrics: boolean({ default: true, doc: "Export the agent's own metrics." }),
  },
  metrics: toggles({ default: [], doc: 'OpenTelemetry metric name → true or false: switches single metrics on or off.' }),
  ecc_counts: choice(['cumulative', 'tally'], {
    default: 'cumulative',
    doc: 'How ECC values are read: as running totals with resets, or as counts of the period, which is how neuron-monitor-prometheus.py adds them up.',
  }),
} satisfies Section;

/** Types of exporters, by the name that the file uses; `Exporters` maps each name to its settings. */
export type ExporterTypes<Exporters> = { readonly [Type in keyof Exporters & string]: ExporterType<Exporters[Type]> };

/** Everything that components add to the configuration. */
export interface Definition<Source extends Section, Exporters> {
  readonly source: Source;
  readonly exporters: ExporterTypes<Exporters>;
}

/** One exporter of the configuration. */
export type ExporterConfig<Exporters> = ExporterConfigs<Exporters>[keyof Exporters & string];

/** The exporter that each type of exporter becomes. */
export type ExporterConfigs<Exporters> = {
  readonly [Type in keyof Exporters & string]: { readonly type: Type; readonly id: string; readonly settings: Exporters[Type] };
};

/** Every section that may name variables. */
export function sectionsOf<Source extends Section, Exporters>({ source, exporters }: Definition<Source, Exporters>): readonly Section[] {
  const types: readonly { readonly section: Section }[] = Object.values(exporters);
  return [ROOT_SECTION, { source }, AGENT_SECTION, ...types.map(({ section }) => section)];
}
