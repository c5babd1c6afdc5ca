import { JsonStdoutExporter } from '../exporters/json-stdout/exporter.ts';
import type { OutputEnd } from '../exporters/json-stdout/exporter.ts';
import { systemdSockets } from '../exporters/prometheus/web/listen-address.ts';
import { AgentError, EXIT } from '../src/errors.ts';
import type { Exporter } from '../src/exporter.ts';
import type { Logger } from '../src/log.ts';
import { VERSION } from '../src/version.ts';
import { assemble } from './assemble.ts';
import type { Assembly } from './assemble.ts';
import { load } from './config.ts';
import type { AgentConfig, ConfigInput } from './config.ts';
import type { CliIo } from './io.ts';

/** neuron-monitor's own first record covers 62 ms; ten ticks of the kernel's clock, which shares of CPU time are made of, are 100. */
export const FIRST_READINGS_APART_MS = 100;

/** Collects and exports until the stream ends, a stop is asked for, or nobody reads the only output. */
export async function run(input: ConfigInput, io: CliIo): Promise<number> {
  const loaded = load({ ...input, opensFiles: true }, io);
  if (typeof loaded === 'number') return loaded;
  const { config, logger } = loaded;
  if (config.exporters.some(isWithoutSockets(io))) {
    io.stderr.write('neuron-otel: systemd passed no socket (LISTEN_FDS, LISTEN_PID): is the service started by its .socket unit?\n');
    return EXIT.config;
  }
  return runAssembly(await assemble({ config, io, logger, firstReadingsApartMs: FIRST_READINGS_APART_MS }), io, logger);
}

/** Known only when the process runs: `validate` cannot see sockets. */
function isWithoutSockets({ host }: CliIo): (exporter: AgentConfig['exporters'][number]) => boolean {
  return (exporter) => exporter.type === 'prometheus' && exporter.settings.systemd_socket && systemdSockets(host.env).length === 0;
}

/** One life of an assembled agent; resolves with the exit code. */
export async function runAssembly({ agent, exporters, sources }: Assembly, io: CliIo, logger: Logger): Promise<number> {
  let exitCode: number = EXIT.ok;
  // Signals are listened to from here on: what was started has to be stopped.
  const { stop } = io;
  try {
    await agent.start();
    logger.info({ version: VERSION, exporters: exporters.map(({ id }) => id) }, 'started');
    const reason = await Promise.race([
      stopped(stop),
      agent.ended.then(() => 'the stream ended'),
      outputGone(exporters).then((end) => {
        if (end.end === 'failed') exitCode = EXIT.failure;
        return 'nobody reads the output';
      }),
    ]);
    logger.info({ reason }, 'stopping');
  } catch (thrown) {
    logger.error({ err: AgentError.from(thrown, 'internal', 'agent') }, 'cannot start');
    exitCode = EXIT.failure;
  }
  await agent[Symbol.asyncDispose]();
  await sources[Symbol.asyncDispose]();
  return exitCode;
}

function stopped(stop: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const onAbort = (): void => resolve('asked to stop');
    if (stop.aborted) onAbort();
    else stop.addEventListener('abort', onAbort, { once: true });
  });
}

/** A closed stdout ends the agent only when there is no other destination. */
function outputGone(exporters: readonly Exporter[]): Promise<OutputEnd> {
  const [only] = exporters;
  return exporters.length === 1 && only instanceof JsonStdoutExporter ? only.closed : new Promise(() => {});
}
