import { join, resolve } from 'node:path';
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TemporaryFolder } from './folder.ts';
import { RunningProcess } from './process.ts';
import type { ProcessOptions } from './process.ts';

export const projectRoot = resolve(import.meta.dirname, '../../..');

/** The agent as sources that Node runs, or as the bundle that ships. Both must behave the same. */
export const PROGRAMS = {
  sources: join(projectRoot, 'cli/main.ts'),
  bundle: join(projectRoot, 'dist/neuron-otel.cjs'),
} as const;

export type Program = keyof typeof PROGRAMS;

export interface AgentProcessOptions extends ProcessOptions {
  readonly program?: Program;
  /** Written to a file of its own and given with `-c`. */
  readonly config?: object;
  /** Arguments of Node in front of the program. */
  readonly nodeArgs?: readonly string[];
}

/** The agent as a process of its own. Reads its stdin from `process.stdin`. */
export class AgentProcess {
  readonly process: RunningProcess;
  readonly #folder: TemporaryFolder;

  constructor(args: readonly string[], options: AgentProcessOptions = {}) {
    this.#folder = new TemporaryFolder();
    const configArgs: string[] = [];
    if (options.config !== undefined) {
      const path = this.#folder.file('config.json');
      writeFileSync(path, JSON.stringify(options.config));
      configArgs.push('-c', path);
    }
    const program = PROGRAMS[options.program ?? 'sources'];
    this.process = new RunningProcess('neuron-otel', process.execPath, [...(options.nodeArgs ?? []), program, ...args, ...configArgs], {
      ...options,
      // The environment of whoever runs the tests must not configure the agent.
      env: { ...withoutOtelVariables(), ...options.env },
    });
  }

  /** Feeds whole lines and keeps stdin open. */
  feed(lines: readonly string[]): void {
    for (const line of lines) this.process.stdin.write(`${line}\n`);
  }

  /** Feeds whole lines one after another, as neuron-monitor prints them, and keeps stdin open. */
  async feedEvery(intervalMs: number, lines: readonly string[]): Promise<void> {
    for (const line of lines) {
      this.process.stdin.write(`${line}\n`);
      await delay(intervalMs);
    }
  }

  /** Feeds bytes as they are, then ends the stream. */
  feedAndEnd(bytes: string | Uint8Array): void {
    this.process.stdin.end(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

function withoutOtelVariables(): Record<string, undefined> {
  return Object.fromEntries(Object.keys(process.env).flatMap((name) => (name.startsWith('OTEL_') ? [[name, undefined]] : [])));
}
