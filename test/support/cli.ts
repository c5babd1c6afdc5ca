import { PassThrough, Readable } from 'node:stream';
import { runCli } from '../../cli/program.ts';
import type { Clock, Host } from '../../src/host.ts';
import { ManualClock } from './manual-clock.ts';

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly stop?: AbortSignal;
  /** Where devices are. */
  readonly devRoot?: string;
}

/** A host on which there is nothing: no procfs, no sysfs, no devices. */
export function emptyHost(options: Pick<CliOptions, 'env' | 'clock' | 'devRoot'> = {}): Host {
  const nowhere = '/nonexistent';
  return {
    clock: options.clock ?? new ManualClock(),
    env: options.env ?? {},
    procRoot: nowhere,
    sysRoot: nowhere,
    devRoot: options.devRoot ?? nowhere,
    fsRoot: nowhere,
  };
}

/** Runs the command line in this process, on an empty host whose clock stands still. */
export async function cli(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const stdout = collected();
  const stderr = collected();
  const exitCode = await runCli(argv, {
    stdin: Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
    stdout: stdout.stream,
    stderr: stderr.stream,
    host: emptyHost(options),
    stop: options.stop ?? new AbortController().signal,
  });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function collected(): { readonly stream: PassThrough; readonly text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new PassThrough();
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
