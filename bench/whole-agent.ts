/** The agent as it runs in production, with every exporter, and a reader for each of its outputs. Part of `line` and of the soak test. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { freePort } from '../test/e2e/support/ports.ts';
import { cpuTimeMs, residentBytes } from './cpu-time.ts';

const RECORD_DEADLINE_MS = 30_000;

/** What survives a garbage collection: objects, and buffers outside the heap. */
export interface UsedMemory {
  readonly heapBytes: number;
  readonly externalBytes: number;
}

/** CPU and elapsed time of one record. */
export interface Cost {
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** The agent with every exporter, its stdout read, its OTLP received and its page scraped by this process. */
export class WholeAgent {
  readonly #process: ChildProcess;
  readonly #stdin: Writable;
  readonly #pid: number;
  readonly #port: number;
  readonly #sink: OtlpSink;
  readonly #folder: string;
  #linesOut = 0;
  /** Of the last record. */
  page = '';

  constructor(options: { readonly folder: string; readonly port: number; readonly sink: OtlpSink; readonly nodeArgs?: readonly string[] }) {
    const { folder, port, sink } = options;
    this.#folder = folder;
    this.#port = port;
    this.#sink = sink;
    this.#process = spawn(
      process.execPath,
      [
        ...(options.nodeArgs ?? []),
        join(resolve(import.meta.dirname, '..'), 'cli/main.ts'),
        '-c',
        join(folder, 'config.json'),
        '--verbose',
        '1',
      ],
      {
        stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
      },
    );
    const { pid, stdin, stdout } = this.#process;
    if (pid === undefined || stdin === null || stdout === null) throw new Error('the agent did not start');
    this.#pid = pid;
    this.#stdin = stdin;
    stdout.on('data', (chunk: Buffer) => {
      if (chunk.includes(0x0a)) this.#linesOut += 1;
    });
  }

  get otlpBytes(): number {
    return this.#sink.bytes;
  }

  get residentBytes(): number {
    return residentBytes(this.#pid);
  }

  /** File descriptors it has open. */
  get openFiles(): number {
    return readdirSync(`/proc/${this.#pid}/fd`).length;
  }

  /** Memory in use after a garbage collection; the agent must have been started with the memory probe. */
  async usedMemory(): Promise<UsedMemory> {
    const answer = new Promise<unknown>((done) => {
      this.#process.once('message', done);
    });
    this.#process.send?.('usedMemory');
    const message = await within(answer, 'answer of the memory probe');
    if (typeof message === 'object' && message !== null && 'heapBytes' in message && 'externalBytes' in message) {
      return { heapBytes: Number(message.heapBytes), externalBytes: Number(message.externalBytes) };
    }
    throw new TypeError('the memory probe answered something else');
  }

  /** Feeds one line, and resolves when it is on stdout, at the OTLP receiver and on the scraped page. */
  async record(line: string): Promise<Cost> {
    const [cpuBefore, startedMs, linesBefore] = [cpuTimeMs(this.#pid), performance.now(), this.#linesOut];
    const pushed = this.#sink.next();
    this.#stdin.write(line);
    await within(pushed, 'OTLP request');
    const response = await fetch(`http://127.0.0.1:${this.#port}/metrics`);
    this.page = await response.text();
    if (!response.ok || this.#linesOut === linesBefore) throw new Error('the agent did not write to every output');
    return { cpuMs: cpuTimeMs(this.#pid) - cpuBefore, wallMs: performance.now() - startedMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ended(this.#process);
    this.#sink.close();
    rmSync(this.#folder, { recursive: true });
  }
}

export interface WholeAgentOptions {
  /** Further keys of its configuration. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Arguments of Node in front of the program. */
  readonly nodeArgs?: readonly string[];
}

export async function startWholeAgent({ settings, nodeArgs }: WholeAgentOptions = {}): Promise<WholeAgent> {
  const folder = mkdtempSync(join(tmpdir(), 'neuron-otel-bench-'));
  const [sink, port] = [new OtlpSink(), await freePort()];
  const config = {
    ...settings,
    source: { spec: '-', procfs: 'off', imds: { enabled: false } },
    exporters: { json_stdout: {}, prometheus: { port }, otlp: { endpoint: `http://127.0.0.1:${await sink.listen()}` } },
  };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return new WholeAgent({ folder, port, sink, ...(nodeArgs === undefined ? {} : { nodeArgs }) });
}

/** Takes OTLP requests and says so; decodes nothing. */
class OtlpSink {
  readonly #server: Server;
  #waiting: (() => void) | undefined;
  /** Of the requests since the last record. */
  bytes = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => (this.bytes += chunk.length));
      request.on('end', () => {
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
        this.#waiting?.();
      });
    });
  }

  /** Resolves with the next request. */
  next(): Promise<void> {
    this.bytes = 0;
    return new Promise((done) => {
      this.#waiting = done;
    });
  }

  listen(): Promise<number> {
    return listen(this.#server);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Closes stdin and waits for the end; both programs end by themselves then. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((done) => {
    child.once('exit', () => done());
  });
  child.stdin?.end();
  await within(exit, 'end of a process').catch(() => child.kill('SIGKILL'));
}

export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => deadline.reject(new Error(`no ${what} within ${RECORD_DEADLINE_MS} ms`)), RECORD_DEADLINE_MS);
  try {
    return await Promise.race([promise, deadline.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') fail(new Error('a TCP server has no port'));
      else done(address.port);
    });
  });
}
