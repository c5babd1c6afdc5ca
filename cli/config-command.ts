import { SWITCHABLE_METRICS } from '../receivers/index.ts';
import { loadConfig } from '../config/load.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import type { Flags } from '../config/flags.ts';
import { formatProblem } from '../config/problems.ts';
import { EXIT } from '../src/errors.ts';
import { createLogger } from '../src/log.ts';
import { toggleOf } from '../src/metric-table.ts';
import type { Logger } from '../src/log.ts';
import type { CliIo } from './io.ts';

export interface ConfigFlags {
  readonly configFile?: string;
  readonly verbose?: 0 | 1 | 2 | 3 | 4;
  readonly logFormat?: 'text' | 'json';
  readonly source?: string;
  readonly speed?: 'recorded' | 'max';
  readonly exporter?: readonly string[];
  readonly naming?: 'otel' | 'legacy' | 'both';
  readonly 'web.listenAddress'?: readonly string[];
  readonly 'web.systemdSocket'?: boolean;
  readonly 'web.config.file'?: string;
  readonly 'web.telemetryPath'?: string;
  readonly 'web.maxRequests'?: number;
}

export interface Loaded {
  readonly config: AgentConfig;
  readonly logger: Logger;
}

/** Loads the configuration of a command. Every problem goes to stderr with its place; then the exit code is returned instead. */
export function load(flags: ConfigFlags, io: CliIo, more: Partial<Flags> = {}): Loaded | number {
  const result = loadConfig({
    ...(flags.configFile === undefined ? {} : { path: flags.configFile }),
    flags: { ...configFlags(flags), ...more },
    env: io.host.env,
    knownMetrics: new Set(SWITCHABLE_METRICS.map((metric) => toggleOf(metric))),
  });
  if (!result.ok) {
    for (const problem of result.problems) io.stderr.write(`neuron-otel: ${formatProblem(problem, flags.configFile)}\n`);
    io.stderr.write(
      `neuron-otel: ${result.problems.length} problem${result.problems.length === 1 ? '' : 's'} in the configuration, nothing was started\n`,
    );
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

function configFlags(flags: ConfigFlags): Partial<Flags> {
  return {
    ...(flags.source === undefined ? {} : { source: flags.source }),
    ...(flags.speed === undefined ? {} : { speed: flags.speed }),
    ...(flags.exporter === undefined ? {} : { exporters: flags.exporter }),
    ...(flags.verbose === undefined ? {} : { verbosity: flags.verbose }),
    ...(flags.logFormat === undefined ? {} : { logFormat: flags.logFormat }),
    ...(flags.naming === undefined ? {} : { naming: flags.naming }),
    ...(flags['web.listenAddress'] === undefined ? {} : { webListen: flags['web.listenAddress'] }),
    ...(flags['web.systemdSocket'] === undefined ? {} : { webSystemdSocket: flags['web.systemdSocket'] }),
    ...(flags['web.config.file'] === undefined ? {} : { webConfigFile: flags['web.config.file'] }),
    ...(flags['web.telemetryPath'] === undefined ? {} : { webTelemetryPath: flags['web.telemetryPath'] }),
    ...(flags['web.maxRequests'] === undefined ? {} : { webMaxRequests: flags['web.maxRequests'] }),
  };
}
