import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { JsonStdoutExporter } from '../../../exporters/json-stdout/exporter.ts';
import type { DropReason, JsonStdoutOptions } from '../../../exporters/json-stdout/exporter.ts';
import { silentLogger } from '../../../src/log.ts';
import type { Logger } from '../../../src/log.ts';
import { temporaryFolder } from '../../support/fixture-host.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { fullRecord } from '../../support/neuron-monitor-record.ts';

/** A reader that takes a chunk when the test says so. */
class SlowOutput extends Writable {
  readonly chunks: string[] = [];
  readonly #waiting: { readonly chunk: string; readonly done: (error?: Error) => void }[] = [];

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#waiting.push({ chunk: chunk.toString('utf8'), done });
  }

  /** Reads what was written, up to `count` chunks. */
  async read(count: number): Promise<void> {
    for (let taken = 0; taken < count; taken += 1) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.chunks.push(next.chunk);
      next.done();
      await new Promise((wake) => setImmediate(wake));
    }
  }

  fail(error: Error): void {
    this.#waiting.shift()?.done(error);
  }
}

interface Subject {
  readonly exporter: JsonStdoutExporter;
  readonly clock: ManualClock;
  readonly dropped: DropReason[];
  readonly written: number[];
  readonly logged: string[];
}

function subject(output: JsonStdoutOptions['output'], maxPendingBytes?: number): Subject {
  const [dropped, written, logged]: [DropReason[], number[], string[]] = [[], [], []];
  const logger: Logger = {
    ...silentLogger,
    warn: (_fields, message) => void logged.push(message),
    info: (_fields, message) => void logged.push(message),
  };
  const clock = new ManualClock();
  const exporter = new JsonStdoutExporter({
    output,
    clock,
    logger,
    onDropped: (reason) => void dropped.push(reason),
    onWritten: () => void written.push(written.length),
    ...(maxPendingBytes === undefined ? {} : { maxPendingBytes }),
  });
  return { exporter, clock, dropped, written, logged };
}

describe('reports on stdout', () => {
  it('are the bytes of the stream where there are any, and encoded documents elsewhere', async () => {
    const output = new PassThrough();
    const { exporter, written } = subject(output);
    const bytes = Buffer.from('{"neuron_runtime_data":[] , "odd spelling":1.50}');
    exporter.export({ document: { ignored: true }, line: { bytes, document: {} } });
    exporter.export({ document: { instance_info: { error: '<', ami_id: 'ä' } } });
    await exporter.flush(1_000);
    output.end();
    expect(await text(output)).toBe(`${bytes.toString('utf8')}\n{"instance_info":{"error":"<","ami_id":"ä"}}\n`);
    expect(written).toHaveLength(2);
  });

  it('are dropped whole while the reader is slow, and come again when it reads', async () => {
    const output = new SlowOutput();
    const { exporter, dropped, written, logged } = subject(output, 100);
    const line = { document: { filling: 'x'.repeat(34) } };
    for (let index = 0; index < 5; index += 1) exporter.export(line);
    expect(exporter.pendingBytes).toBe(98);
    expect(dropped).toEqual(['full', 'full', 'full']);
    await output.read(1);
    exporter.export(line);
    expect(dropped).toHaveLength(3);
    await output.read(10);
    expect(output.chunks).toEqual(Array.from({ length: 3 }, () => `{"filling":"${'x'.repeat(34)}"}\n`));
    expect(exporter.pendingBytes).toBe(0);
    expect(written).toHaveLength(3);
    expect(logged).toEqual(['stdout is read too slowly, reports are dropped', 'stdout has taken everything that waited']);
  });

  it('may be larger than the bound when nothing else waits', () => {
    const { exporter, dropped } = subject(new SlowOutput(), 100);
    exporter.export({ document: { filling: 'x'.repeat(1_000) } });
    exporter.export({ document: {} });
    expect(dropped).toEqual(['full']);
  });

  it('are dropped when they cannot be encoded', () => {
    const { exporter, dropped } = subject(new PassThrough());
    exporter.export({ document: { deep: JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`) } });
    expect(dropped).toEqual(['unencodable']);
  });
});

describe('flush', () => {
  it('waits until the reader has everything', async () => {
    const output = new SlowOutput();
    const { exporter } = subject(output);
    await exporter.flush(1_000);
    exporter.export({ document: {} });
    exporter.export({ document: {} });
    const order: string[] = [];
    const flushed = Promise.all([exporter.flush(1_000), exporter.flush(1_000)]).then(() => order.push('flushed'));
    await output.read(1);
    order.push('first');
    await output.read(1);
    await flushed;
    expect(order).toEqual(['first', 'flushed']);
  });

  it('waits no longer than its deadline', async () => {
    const { exporter, clock } = subject(new SlowOutput());
    exporter.export({ document: {} });
    const flushed = exporter.flush(1_000);
    await clock.advance(1_000);
    await flushed;
    expect(exporter.pendingBytes).toBe(3);
  });

  it('does not wait for a reader that is gone', async () => {
    const output = new SlowOutput();
    const { exporter, dropped } = subject(output);
    exporter.export({ document: {} });
    const flushed = exporter.flush(1_000);
    output.fail(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await flushed;
    exporter.export({ document: {} });
    await exporter.flush(1_000);
    expect(dropped).toEqual(['closed', 'closed']);
  });
});

describe('the end of stdout', () => {
  it('is told once: the reader went away', async () => {
    const output = new SlowOutput();
    const { exporter } = subject(output);
    exporter.export({ document: {} });
    output.fail(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    expect(await exporter.closed).toEqual({ end: 'reader_gone' });
  });

  it('is told once: writing failed', async () => {
    const output = new SlowOutput();
    const { exporter } = subject(output);
    exporter.export({ document: {} });
    output.fail(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
    expect(await exporter.closed).toMatchObject({ end: 'failed', error: { code: 'export_permanent', component: 'json_stdout' } });
  });

  it('survives disposal, twice, and an error after it', async () => {
    const output = new SlowOutput();
    const { exporter, dropped } = subject(output);
    await exporter[Symbol.asyncDispose]();
    await exporter[Symbol.asyncDispose]();
    exporter.export({ document: {} });
    output.destroy(new Error('late'));
    await new Promise((closed) => output.on('close', closed));
    expect(dropped).toEqual(['closed']);
  });
});

/** A real process with the exporter on a real stdout. */
const WRITER = resolve(import.meta.dirname, '../../support/report-writer.ts');

interface Told {
  readonly written: number;
  readonly full: number;
  readonly closed: number;
  readonly mostPendingBytes: number;
  readonly end: string;
}

function start(
  command: string,
  args: readonly string[],
  stdio: ('ignore' | 'pipe')[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(command, args, { stdio, env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function told(writer: ChildProcess): Promise<Told> {
  const [said] = await Promise.all([writer.stderr === null ? '' : text(writer.stderr), once(writer, 'exit')]);
  expect(writer.exitCode).toBe(0);
  return { written: 0, full: 0, closed: 0, mostPendingBytes: 0, end: '', ...JSON.parse(said.replace(/^offered\n/, '')) };
}

describe('a real pipe', () => {
  it('whose reader leaves after a thousand bytes ends quietly', async () => {
    const args = ['-c', '"$@" | head -c 1000', 'writer', process.execPath, WRITER, '0', '300', '1000000', '1000'];
    const pipeline = start('sh', args, ['ignore', 'pipe', 'pipe']);
    if (pipeline.stdout === null) throw new Error('no pipe');
    const [head, result] = await Promise.all([text(pipeline.stdout), told(pipeline)]);
    expect(result.end).toBe('reader_gone');
    expect(result.written).toBeGreaterThan(0);
    expect(Buffer.byteLength(head)).toBe(1000);
  });

  it('that nobody reads for a while carries whole lines only, and the rest is counted', async () => {
    const fifo = join(temporaryFolder(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reader = start('sh', ['-c', 'exec 3<"$1"; read go; exec cat <&3', 'reader', fifo], ['pipe', 'pipe', 'ignore']);
    // 500 reports of 10 kB against a FIFO of 64 KiB and a bound of 200 kB; the flush waits for the reader afterwards.
    const script = 'exec "$@" > "$FIFO"';
    const args = ['-c', script, 'writer', process.execPath, WRITER, '500', '10000', '200000', '20000'];
    const writer = start('sh', args, ['ignore', 'ignore', 'pipe'], { FIFO: fifo });
    if (reader.stdout === null || writer.stderr === null) throw new Error('no pipes');
    const said = told(writer);
    await once(writer.stderr, 'data');
    reader.stdin?.write('go\n');
    const [lines, result] = await Promise.all([text(reader.stdout), said]);
    const indexes = lines
      .trimEnd()
      .split('\n')
      .map((line): number => Object({ index: -1, ...JSON.parse(line) }).index);
    expect(lines.endsWith('\n')).toBe(true);
    expect(indexes.length).toBe(result.written);
    expect(result.full).toBeGreaterThan(0);
    expect(result.written + result.full).toBe(500);
    expect(result.mostPendingBytes).toBeLessThanOrEqual(200_000);
    expect(indexes).toEqual(indexes.toSorted((one, other) => one - other));
  });

  it('that is opened again by another reader goes on with a whole line', async () => {
    const fifo = join(temporaryFolder(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const args = ['-c', 'exec "$@" > "$FIFO"', 'writer', process.execPath, WRITER, '1000000', '20', '1000000', '1000', '5'];
    start('sh', args, ['ignore', 'ignore', 'ignore'], { FIFO: fifo });
    for (let reader = 0; reader < 3; reader += 1) {
      const head = start('head', ['-n', '3', fifo], ['ignore', 'pipe', 'ignore']);
      if (head.stdout === null) throw new Error('no pipe');
      const lines = (await text(head.stdout)).trimEnd().split('\n');
      expect(lines).toHaveLength(3);
      for (const line of lines) expect(JSON.parse(line)).toHaveProperty('filling');
    }
  });

  it('carries a stream of records byte for byte', async () => {
    const output = new PassThrough();
    const { exporter } = subject(output);
    const lines = Array.from({ length: 50 }, (_, pid) => fullRecord({ pid }));
    for (const line of lines) exporter.export({ document: {}, line: { bytes: Buffer.from(line), document: {} } });
    output.end();
    expect(await text(output)).toBe(lines.map((line) => `${line}\n`).join(''));
  });
});
