import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { residentBytes } from '../../../bench/cpu-time.ts';
import type { ProducerBooks, ProducerOptions } from '../../support/otlp-producer.ts';

const SCRIPT = resolve(import.meta.dirname, '../../support/otlp-producer.ts');

/** The producer of `test/support/otlp-producer.ts` as a process of its own. */
export class Producer {
  /** Number of the last batch that was taken over. */
  lastExported = -1;
  books: readonly ProducerBooks[] | undefined;
  firstExportMs: number | undefined;
  readonly process: ChildProcess;
  readonly #startedMs = performance.now();
  readonly #ended: Promise<unknown>;

  /** `wrapper` is a command that runs another one, such as strace with its options. */
  constructor(options: ProducerOptions, wrapper: readonly string[] = []) {
    const [command, ...args] = [...wrapper, process.execPath, SCRIPT, JSON.stringify(options)];
    const child = spawn(command ?? process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.process = child;
    this.#ended = once(child, 'exit');
    createInterface(child.stdout).on('line', (line) => this.#read(line));
  }

  /** Settles when the process has ended and everything it said was read. */
  async ended(): Promise<void> {
    await this.#ended;
    await new Promise((settle) => setImmediate(settle));
  }

  async exported(batch: number): Promise<void> {
    while (this.lastExported < batch && this.process.exitCode === null && this.process.signalCode === null) {
      await new Promise((settle) => setTimeout(settle, 5));
    }
  }

  residentMib(): number {
    return residentBytes(this.process.pid ?? 0) / 2 ** 20;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.process.kill(signal);
    await this.ended();
  }

  #read(line: string): void {
    if (line.startsWith('exported ')) {
      this.lastExported = Number(line.slice('exported '.length));
      this.firstExportMs ??= performance.now() - this.#startedMs;
    } else {
      this.books = JSON.parse(line) as ProducerBooks[];
    }
  }
}
