import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { eventually } from './eventually.ts';

export interface ProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Signal that asks the process to end; SIGTERM unless said otherwise. */
  readonly stopSignal?: NodeJS.Signals;
  /** A channel for messages, as Node's `fork` has it. */
  readonly ipc?: boolean;
}

/** How a process ended: `code` after an exit, `signal` after a kill. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Output kept for error messages. */
const SHOWN_OUTPUT_CHARACTERS = 4_000;
const STOP_DEADLINE_MS = 10_000;

/** Processes of this test run, so that none outlives it however it ends. */
const running = new Set<RunningProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A real process with its output. Disposal ends it, by its own id, and waits until it is gone. */
export class RunningProcess {
  readonly name: string;
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #streams: { readonly stdin: Writable; readonly stdout: Readable };
  readonly #stopSignal: NodeJS.Signals;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  #exit: Exit | undefined;

  constructor(name: string, command: string, args: readonly string[], options: ProcessOptions = {}) {
    this.name = name;
    this.#stopSignal = options.stopSignal ?? 'SIGTERM';
    this.#child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe', ...(options.ipc === true ? (['ipc'] as const) : [])],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, ...options.env },
    });
    const { stdin, stdout, stderr } = this.#child;
    if (stdin === null || stdout === null || stderr === null) throw new Error(`${name} has no pipes`);
    this.#streams = { stdin, stdout };
    stdout.on('data', (chunk: Buffer) => this.#stdout.push(chunk));
    stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    // A process that has ended does not read its input any more; its exit tells why.
    stdin.on('error', () => {});
    this.exited = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        running.delete(this);
        this.#exit = exit;
        resolve(exit);
      };
      this.#child.on('error', (error) => {
        this.#stderr.push(Buffer.from(`${error.message}\n`));
        end({ code: null, signal: null });
      });
      this.#child.on('close', (code, signal) => end({ code, signal }));
    });
    running.add(this);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get stdin(): Writable {
    return this.#streams.stdin;
  }

  /** Everything written so far. */
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString('utf8');
  }

  get hasExited(): boolean {
    return this.#exit !== undefined;
  }

  /** Closes the reading end of the process's stdout, as `head -1` does. */
  closeStdout(): void {
    this.#streams.stdout.destroy();
  }

  /** Sends a message to a process with a channel, and resolves with the next one it sends. */
  ask(message: string): Promise<unknown> {
    const answer = new Promise<unknown>((resolve) => {
      this.#child.once('message', resolve);
    });
    this.#child.send(message);
    return answer;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What it printed, for an error message. */
  describe(): string {
    const state = this.#exit === undefined ? 'running' : `ended with ${this.#exit.code ?? this.#exit.signal ?? 'nothing'}`;
    return `${this.name} (${state})\n--- stdout\n${tail(this.stdout.toString('utf8'))}\n--- stderr\n${tail(this.stderr)}`;
  }

  /** Waits for the end. Rejects with the output when the exit code is another one, or when it does not end in time. */
  async endsWith(code: number, timeoutMs = 30_000): Promise<void> {
    const exit = await eventually(() => this.#exit, { timeoutMs, what: `${this.name} to end`, context: () => this.describe() });
    if (exit.code !== code) throw new Error(`expected exit code ${code} of ${this.describe()}`);
  }

  /** Polls until `probe` gives a value; fails at once when the process ends before that. */
  async until<T>(what: string, probe: () => Promise<T | undefined> | T | undefined, timeoutMs = 20_000): Promise<T> {
    return eventually(
      async () => {
        const value = await probe();
        if (value === undefined && this.#exit !== undefined) throw new EndedEarly(`${this.name} ended before ${what}`);
        return value;
      },
      { timeoutMs, what: `${this.name}: ${what}`, context: () => this.describe(), isFinal: (error) => error instanceof EndedEarly },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#exit !== undefined) return;
    this.kill(this.#stopSignal);
    const deadline = setTimeout(() => this.kill('SIGKILL'), STOP_DEADLINE_MS);
    await this.exited;
    clearTimeout(deadline);
  }
}

class EndedEarly extends Error {}

function tail(text: string): string {
  return text.length > SHOWN_OUTPUT_CHARACTERS ? `… ${text.slice(-SHOWN_OUTPUT_CHARACTERS)}` : text;
}
