// oxlint-disable-next-line import/no-unassigned-import -- sets what has to be set before the rest is loaded
import '../src/v8-settings.ts';
import { endNow, Signals } from './ending.ts';
import { runCli } from './program.ts';
import { EXIT } from '../src/errors.ts';
import { systemHost } from '../src/host.ts';

/** A finished command may take this long to end by itself; a half-closed socket or an unread stdin does not keep it. */
const LINGER_MS = 1_000;

async function main(): Promise<void> {
  // A closed stderr would end the process where nobody listens for its error, and no message could be written about it.
  process.stderr.on('error', () => {});
  const signals = new Signals();
  try {
    process.exitCode = await runCli(process.argv.slice(2), {
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      host: systemHost(),
      get stop() {
        return signals.stop;
      },
      onHangUp: (listener) => signals.onHangUp(listener),
    });
  } catch (thrown) {
    process.stderr.write(`neuron-otel: internal error: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
    process.exitCode = EXIT.failure;
  }
  setTimeout(() => endNow(Number(process.exitCode ?? EXIT.ok)), LINGER_MS).unref();
}

void main();
