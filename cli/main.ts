// oxlint-disable-next-line import/no-unassigned-import -- sets what has to be set before the rest is loaded
import '../src/v8-settings.ts';
import { runCli } from './program.ts';
import { EXIT } from '../src/errors.ts';
import { systemHost } from '../src/host.ts';

/** Signals end a run in good order; the second one does not wait for anything. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    if (stop.signal.aborted) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return stop.signal;
}

async function main(): Promise<void> {
  // Without a listener a closed stderr would end the process; there is nowhere left to say it.
  process.stderr.on('error', () => {});
  try {
    process.exitCode = await runCli(process.argv.slice(2), {
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      host: systemHost(),
      stop: stopOnSignals(),
    });
  } catch (thrown) {
    process.stderr.write(`neuron-otel: internal error: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
    process.exitCode = EXIT.failure;
  }
  // Nothing may keep a finished command alive: a half-closed socket, an unread stdin.
  setTimeout(() => process.exit(), 1_000).unref();
}

void main();
