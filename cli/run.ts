import { formatProblem } from '../config/problems.ts';
import { JsonStdoutExporter } from '../exporters/json-stdout/exporter.ts';
import { systemdSockets } from '../exporters/prometheus/web/listen-address.ts';
import { AgentError, EXIT } from '../src/errors.ts';
import type { Logger } from '../src/log.ts';
import { VERSION } from '../src/version.ts';
import { assemble } from './assemble.ts';
import type { Assembly } from './assemble.ts';
import { load, loadAgentConfig } from './config.ts';
import type { AgentConfig, ConfigInput, LogSettings } from './config.ts';
import { isSame } from './exporter-pool.ts';
import type { CliIo } from './io.ts';

/** neuron-monitor's own first record covers 62 ms; ten ticks of the kernel's clock, which shares of CPU time are made of, are 100. */
export const FIRST_READINGS_APART_MS = 100;

/** Collects and exports until the stream ends, a stop is asked for, or nobody reads the only output. SIGHUP reads the configuration again. */
export async function run(input: ConfigInput, io: CliIo): Promise<number> {
  const withFiles = { ...input, opensFiles: true };
  const loaded = load(withFiles, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger, log } = loaded;
  if (config.exporters.some(isWithoutSockets(io))) {
    io.stderr.write(`neuron-otel: ${NO_SOCKETS}\n`);
    return EXIT.config;
  }
  const assembly = await assemble({ config, io, logger, firstReadingsApartMs: FIRST_READINGS_APART_MS });
  const reload = (before: AgentConfig): Promise<AgentConfig> =>
    reloadConfiguration(before, { input: withFiles, io, assembly, logger, log });
  return runAssembly(assembly, io, logger, { config, reload });
}

const NO_SOCKETS = 'systemd passed no socket (LISTEN_FDS, LISTEN_PID): is the service started by its .socket unit?';

/** Known only when the process runs: `validate` cannot see sockets. */
function isWithoutSockets({ host }: CliIo): (exporter: AgentConfig['exporters'][number]) => boolean {
  return (exporter) => exporter.type === 'prometheus' && exporter.settings.systemd_socket && systemdSockets(host.env).length === 0;
}

interface ReloadContext {
  readonly input: ConfigInput;
  readonly io: CliIo;
  readonly assembly: Assembly;
  readonly logger: Logger;
  readonly log: LogSettings;
}

/**
 * Reads the configuration again and puts it in force. Returns the one that is in force then: the one before, when the new one is invalid
 * or cannot be started. Rejects when neither can be started.
 */
async function reloadConfiguration(before: AgentConfig, { input, io, assembly, logger, log }: ReloadContext): Promise<AgentConfig> {
  const loaded = loadAgentConfig(input, io);
  const problems = 'config' in loaded ? [] : loaded.map((problem) => formatProblem(problem, input.configFile));
  if ('config' in loaded && loaded.config.exporters.some(isWithoutSockets(io))) problems.push(NO_SOCKETS);
  for (const problem of problems) logger.error({ problem }, 'the configuration is invalid');
  if (problems.length > 0 || !('config' in loaded)) {
    logger.error({ problems: problems.length }, 'the configuration was refused, the one before stays in force');
    return before;
  }
  for (const warning of loaded.warnings) logger.warn({ path: warning.path }, warning.message);
  if (isSame(loaded.config, before)) {
    logger.info({}, 'the configuration was read again and is the same');
    return before;
  }
  try {
    await assembly.reload(loaded.config);
    Object.assign(log, loaded.config.telemetry.log);
    logger.info({ exporters: assembly.exporters.map(({ id }) => id) }, 'the configuration was read again and is in force');
    return loaded.config;
  } catch (thrown) {
    logger.error({ err: AgentError.from(thrown, 'internal', 'agent') }, 'the new configuration cannot be started, the one before returns');
    await assembly.reload(before);
    return before;
  }
}

/** The reload of a running agent: the configuration in force, and the step to the next one. */
export interface Reloading {
  readonly config: AgentConfig;
  readonly reload: (before: AgentConfig) => Promise<AgentConfig>;
}

interface Ending {
  readonly reason: string;
  readonly exitCode: number;
}

/** One life of an assembled agent; resolves with the exit code. */
export async function runAssembly(assembly: Assembly, io: CliIo, logger: Logger, reloading?: Reloading): Promise<number> {
  let exitCode: number = EXIT.ok;
  // Signals are listened to from here on: what was started has to be stopped.
  const { stop } = io;
  const ending = Promise.withResolvers<Ending>();
  // A reload that fails after the end is of no interest.
  ending.promise.catch(() => {});
  try {
    const started = assembly.agent.start();
    if (reloading !== undefined) reloadOnHangUp(assembly, io, { ...reloading, started }, ending);
    await started;
    logger.info({ version: VERSION, exporters: assembly.exporters.map(({ id }) => id) }, 'started');
    void stopped(stop).then(() => ending.resolve({ reason: 'asked to stop', exitCode: EXIT.ok }));
    void assembly.agent.ended.then(() => ending.resolve({ reason: 'the stream ended', exitCode: EXIT.ok }));
    endWithOutput(assembly, ending);
    const { reason, exitCode: code } = await ending.promise;
    exitCode = code;
    logger.info({ reason }, 'stopping');
  } catch (thrown) {
    logger.error({ err: AgentError.from(thrown, 'internal', 'agent') }, 'cannot start');
    exitCode = EXIT.failure;
  }
  await assembly[Symbol.asyncDispose]();
  return exitCode;
}

/** One reload after the other; signals that come meanwhile are one more reload. */
function reloadOnHangUp(
  assembly: Assembly,
  io: CliIo,
  { config, reload, started }: Reloading & { readonly started: Promise<void> },
  ending: PromiseWithResolvers<Ending>,
): void {
  let inForce = config;
  let isWanted = false;
  let isReloading = false;
  const reloadWhileWanted = async (): Promise<void> => {
    await started;
    for (; isWanted && !io.stop.aborted; endWithOutput(assembly, ending)) {
      isWanted = false;
      inForce = await reload(inForce);
    }
    isReloading = false;
  };
  io.onHangUp?.(() => {
    isWanted = true;
    if (isReloading) return;
    isReloading = true;
    reloadWhileWanted().catch((thrown: unknown) => ending.reject(thrown));
  });
}

function stopped(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** A closed stdout ends the agent only when there is no other destination. */
function endWithOutput(assembly: Assembly, ending: PromiseWithResolvers<Ending>): void {
  const [only] = assembly.exporters;
  if (assembly.exporters.length !== 1 || !(only instanceof JsonStdoutExporter)) return;
  void only.closed.then(({ end }) => {
    if (assembly.exporters.length > 1 || assembly.exporters[0] !== only) return;
    ending.resolve({ reason: 'nobody reads the output', exitCode: end === 'failed' ? EXIT.failure : EXIT.ok });
  });
}
