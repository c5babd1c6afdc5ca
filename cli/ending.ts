import { EXIT } from '../src/errors.ts';

/** Signals that end a run in good order. SIGPIPE is Node's; SIGKILL and SIGSTOP cannot be caught. */
const STOP_SIGNALS = { SIGINT: 2, SIGQUIT: 3, SIGUSR2: 12, SIGALRM: 14, SIGTERM: 15, SIGXCPU: 24, SIGVTALRM: 26, SIGPWR: 30 } as const;

/** A run that was asked to stop ends within this time whatever holds it up: the flush takes up to 4.5 s of it. */
export const HARD_END_MS = 8_000;

/**
 * `Signals` turns signals of the operating system into a stop or a reload. Until a command asks for its stop signal, a signal ends the
 * process at once: nothing was started yet, and a configuration on a file system that hangs must not make the agent deaf.
 */
export class Signals {
  readonly #stop = new AbortController();
  #isListening = false;
  #onHangUp: (() => void) | undefined;

  constructor() {
    // Node opens its debugger for every local user on SIGUSR1; with a listener it does not.
    process.on('SIGUSR1', () => {});
  }

  /** Aborts at the first signal that stops; the second one ends the process without waiting for anything. */
  get stop(): AbortSignal {
    if (!this.#isListening) this.#listen();
    return this.#stop.signal;
  }

  /** From now on SIGHUP calls the listener; without one it stops, as when a terminal is closed. */
  onHangUp(listener: () => void): void {
    this.#onHangUp = listener;
  }

  #listen(): void {
    this.#isListening = true;
    for (const [signal, number] of Object.entries(STOP_SIGNALS)) process.on(signal, () => this.#end(128 + number));
    process.on('SIGHUP', () => (this.#onHangUp === undefined || this.#stop.signal.aborted ? this.#end(129) : this.#onHangUp()));
  }

  #end(codeOfSecond: number): void {
    if (this.#stop.signal.aborted) endNow(codeOfSecond);
    this.#stop.abort();
    const hardEnd = (): void => {
      process.stderr.write(`neuron-otel: the stop took longer than ${HARD_END_MS / 1_000} s; the process ends without what is left\n`);
      endNow(EXIT.forced);
    };
    setTimeout(hardEnd, HARD_END_MS).unref();
  }
}

/**
 * Ends the process now. `process.exit` waits for the threads of Node's pool, and a thread that reads from a file system that hangs does
 * not end; replacing the process by one that does nothing but exit ends all threads.
 */
export function endNow(code: number): void {
  if (isHeldUp()) process.execve?.(process.execPath, [process.execPath, '-e', `process.exit(${code})`], {});
  process.exit(code);
}

/** True while a thread of the pool is inside a call of the operating system: a file, or the resolver of host names. */
function isHeldUp(): boolean {
  return process.getActiveResourcesInfo().some((resource) => /^(FSReq|FileHandle|GetAddrInfo|GetNameInfo)/.test(resource));
}
