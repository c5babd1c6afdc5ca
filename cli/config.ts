import { loadConfig } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import { formatProblem } from '../config/problems.ts';
import type { Definition } from '../config/schema.ts';
import type { Flags } from '../config/section.ts';
import { EXPORTER_TYPES } from '../exporters/index.ts';
import type { OtlpSettings } from '../exporters/otlp/settings.ts';
import type { PrometheusSettings } from '../exporters/prometheus/settings.ts';
import { SWITCHABLE_METRICS } from '../receivers/index.ts';
import { SOURCE_SECTION } from '../sources/settings.ts';
import { EXIT } from '../src/errors.ts';
import { createLogger } from '../src/log.ts';
import type { Logger } from '../src/log.ts';
import { toggleOf } from '../src/metric-table.ts';
import type { CliIo } from './io.ts';

interface ExporterSettings {
  readonly json_stdout: object;
  readonly prometheus: PrometheusSettings;
  readonly otlp: OtlpSettings;
}

/** The sections of every component: the whole configuration follows from them. */
export const DEFINITION: Definition<typeof SOURCE_SECTION, ExporterSettings> = { source: SOURCE_SECTION, exporters: EXPORTER_TYPES };

export type AgentConfig = LoadedConfig<typeof SOURCE_SECTION, ExporterSettings>;

/** The part of a command line that concerns the configuration. */
export interface ConfigInput {
  readonly configFile?: string;
  /** By the flag as it is typed. */
  readonly flags: Flags;
}

export interface Loaded {
  readonly config: AgentConfig;
  readonly logger: Logger;
}

/** Loads the configuration of a command. Every problem goes to stderr with its place; then the exit code is returned instead. */
export function load({ configFile, flags }: ConfigInput, io: CliIo): Loaded | number {
  const knownMetrics = new Set(SWITCHABLE_METRICS.map((metric) => toggleOf(metric)));
  const path = configFile === undefined ? {} : { path: configFile };
  const result = loadConfig({ ...path, flags, env: io.host.env, knownMetrics }, DEFINITION);
  if (!result.ok) {
    for (const problem of result.problems) io.stderr.write(`neuron-otel: ${formatProblem(problem, configFile)}\n`);
    const count = result.problems.length;
    io.stderr.write(`neuron-otel: ${count} problem${count === 1 ? '' : 's'} in the configuration, nothing was started\n`);
    return EXIT.config;
  }
  const { config } = result;
  const logger = createLogger({
    verbosity: config.telemetry.log.verbosity,
    format: config.telemetry.log.format,
    write: (line) => void io.stderr.write(line),
  });
  for (const warning of result.warnings) logger.warn({ path: warning.path }, warning.message);
  return { config, logger };
}
