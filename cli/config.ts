import { existsSync } from 'node:fs';
import { loadConfig } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import { formatProblem } from '../config/problems.ts';
import type { ConfigProblem } from '../config/problems.ts';
import type { Definition } from '../config/schema.ts';
import type { Flags } from '../config/section.ts';
import { EXPORTER_TYPES } from '../exporters/index.ts';
import type { OtlpSettings } from '../exporters/otlp/settings.ts';
import type { PrometheusSettings } from '../exporters/prometheus/settings.ts';
import { SWITCHABLE_METRICS } from '../receivers/index.ts';
import { isVirtualInstanceType, VIRTUAL_INSTANCE_TYPES } from '../simulator/instances.ts';
import { SOURCE_SECTION, sourceSpecOf } from '../sources/settings.ts';
import type { SourceSpec } from '../sources/settings.ts';
import { EXIT } from '../src/errors.ts';
import { createLogger } from '../src/log.ts';
import type { LogFormat, Logger, LoggerOptions } from '../src/log.ts';
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
  /** The flag that named the file; `--config-file` when absent. */
  readonly configFlag?: string;
  /** By the flag as it is typed. */
  readonly flags: Flags;
  /** True for a command that starts exporters, and for one that reports whether they can be started. */
  readonly opensFiles?: boolean;
}

export interface Loaded {
  readonly config: AgentConfig;
  readonly warnings: readonly ConfigProblem[];
}

/** Loads the configuration of a command; with `opensFiles` exporters open the files that they will read. */
export function loadAgentConfig(
  { configFile, configFlag, flags, opensFiles = false }: ConfigInput,
  io: CliIo,
): Loaded | readonly ConfigProblem[] {
  const knownMetrics = new Set(SWITCHABLE_METRICS.map((metric) => toggleOf(metric)));
  const path = configFile === undefined ? {} : { path: configFile, pathFlag: configFlag ?? '--config-file' };
  const result = loadConfig({ ...path, flags, env: io.host.env, knownMetrics, opensFiles }, DEFINITION);
  if (!result.ok) return result.problems;
  const reason = sourceRefusal(sourceSpecOf(result.config.source));
  if (reason === undefined) return result;
  return [{ path: flags['--source'] === undefined ? 'source.spec' : '--source', message: reason }];
}

/** Settings that the logger reads for each line; a reload changes them. */
export interface LogSettings extends LoggerOptions {
  verbosity: number;
  format: LogFormat;
}

/** Loads as `loadAgentConfig`. Every problem goes to stderr with its place; then the exit code is returned instead. */
export function load(input: ConfigInput, io: CliIo): (Loaded & { readonly logger: Logger; readonly log: LogSettings }) | number {
  const loaded = loadAgentConfig(input, io);
  if (!('config' in loaded)) {
    for (const problem of loaded) io.stderr.write(`neuron-otel: ${formatProblem(problem, input.configFile)}\n`);
    const count = loaded.length;
    io.stderr.write(`neuron-otel: ${count} problem${count === 1 ? '' : 's'} in the configuration, nothing was started\n`);
    return EXIT.config;
  }
  const log: LogSettings = { ...loaded.config.telemetry.log, write: (line) => void io.stderr.write(line) };
  const logger = createLogger(log);
  for (const warning of loaded.warnings) logger.warn({ path: warning.path }, warning.message);
  return { ...loaded, logger, log };
}

/** The reason why a source cannot be, as the end of a sentence. */
function sourceRefusal(spec: SourceSpec): string | undefined {
  switch (spec.kind) {
    case 'file':
      return existsSync(spec.path) ? undefined : `names a file that does not exist: ${JSON.stringify(spec.path)}`;
    case 'virtual':
      return spec.instanceType === undefined || isVirtualInstanceType(spec.instanceType)
        ? undefined
        : `names an instance type that cannot be simulated; there are ${VIRTUAL_INSTANCE_TYPES.join(', ')}`;
    case 'auto':
    case 'native':
    case 'neuron-monitor':
    case 'stdin':
      return undefined;
  }
}
