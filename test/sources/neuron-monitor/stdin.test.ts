import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createNeuronMonitorSource } from '../../../sources/neuron-monitor/source.ts';
import { silentLogger } from '../../../src/log.ts';
import type { Logger } from '../../../src/log.ts';
import type { ReadingBatch, StreamSource } from '../../../src/source.ts';
import { fixtureHost } from '../../support/fixture-host.ts';
import { EMPTY_RECORD, fullRecord } from '../../support/neuron-monitor-record.ts';
import { RecordingSink } from '../../support/recording-sink.ts';
import { hasSamples, sampleLines } from '../../support/samples.ts';

const host = fixtureHost('/nowhere');

function stdin(input: Readable, logger: Logger = silentLogger): StreamSource {
  return createNeuronMonitorSource({ mode: 'stdin', host, logger, input });
}

async function drain(...chunks: readonly (string | Uint8Array)[]): Promise<RecordingSink> {
  const sink = new RecordingSink();
  await using source = stdin(
    Readable.from(
      chunks.map((chunk) => Buffer.from(chunk)),
      { objectMode: false },
    ),
  );
  await source.start(sink);
  await sink.until(({ events }) => events.includes('ended'));
  return sink;
}

describe('a stream on stdin', () => {
  it('is live with its first record, and ends at the end of the input after its last', async () => {
    const sink = await drain('noise\n', `${EMPTY_RECORD}\n${EMPTY_RECORD}\n`);
    expect(sink.events).toEqual(['malformed', 'live', 'batch', 'batch', 'ended']);
  });

  it('drops a cut-off last line and counts it', async () => {
    const sink = await drain(`${EMPTY_RECORD}\n${EMPTY_RECORD.slice(0, 40)}`);
    expect(sink.events).toEqual(['live', 'batch', 'partial', 'ended']);
    expect(sink.losses[0]?.error).toMatchObject({ code: 'source_malformed', message: 'last line is cut off' });
  });

  it.each([
    ['whole', EMPTY_RECORD],
    ['whole, with a carriage return', `${EMPTY_RECORD}\r`],
    ['whole, with white space behind it', `${EMPTY_RECORD}  `],
  ])('takes a last line that is %s as a record, though no line feed ends it', async (_name, last) => {
    const sink = await drain(`${EMPTY_RECORD}\n${last}`);
    expect(sink.events).toEqual(['live', 'batch', 'batch', 'ended']);
  });

  it('ends without a word when there was nothing', async () => {
    expect((await drain()).events).toEqual(['ended']);
  });

  it('hands over each line with its exact bytes, its document and its time', async () => {
    const record = fullRecord();
    const sink = await drain(`\ufeff${record}\r\n${EMPTY_RECORD}\n`);
    expect(sink.lines).toEqual([record, EMPTY_RECORD]);
    expect(sink.batches[0]?.line?.document).toEqual(JSON.parse(record));
    expect(sink.batches[0]).toMatchObject({
      source: 'neuron-monitor',
      sampledAtMs: host.clock.nowMs(),
      runtimes: [{ pid: 4242, tag: 'train' }],
    });
    expect(sink.batches[0]?.readings).toHaveLength(10);
  });

  it('says which groups really came', async () => {
    const sink = new RecordingSink();
    const input = new PassThrough();
    await using source = stdin(input);
    expect([...source.groups()]).toEqual([]);
    await source.start(sink);
    input.write(`${EMPTY_RECORD}\n`);
    await sink.until(({ batches }) => batches.length === 1);
    expect([...source.groups()].toSorted()).toEqual(['instance_info', 'neuron_hardware_info']);
    input.write(`${fullRecord()}\n`);
    await sink.until(({ batches }) => batches.length === 2);
    expect(source.groups().size).toBe(10);
  });

  it('reads on only when the record before was taken', async () => {
    const taken: (() => void)[] = [];
    const sink = new RecordingSink(() => new Promise((resolve) => void taken.push(resolve)));
    let produced = 0;
    async function* input(): AsyncGenerator<Buffer> {
      for (; produced < 10_000; produced += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        yield Buffer.from(`${EMPTY_RECORD}\n`);
      }
    }
    await using source = stdin(Readable.from(input(), { objectMode: false }));
    await source.start(sink);
    await sink.until(({ batches }) => batches.length === 1);
    for (let turn = 0; turn < 5_000; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(sink.batches).toHaveLength(1);
    // What a stream holds by itself: 64 KiB.
    expect(produced).toBeLessThan(2_000);
    taken[0]?.();
    await sink.until(({ batches }) => batches.length === 2);
    taken[1]?.();
  });

  it('goes on when the agent could not take a record', async () => {
    const errors: unknown[] = [];
    const logger: Logger = { ...silentLogger, error: (fields) => void errors.push(fields['err']) };
    const sink = new RecordingSink((batch) => (sink.batches.length === 1 ? Promise.reject(new Error(batch.source)) : Promise.resolve()));
    await using source = stdin(Readable.from([Buffer.from(`${EMPTY_RECORD}\n${EMPTY_RECORD}\n`)], { objectMode: false }), logger);
    await source.start(sink);
    await sink.until(({ events }) => events.includes('ended'));
    expect(sink.batches).toHaveLength(2);
    expect(errors).toMatchObject([{ code: 'internal', message: 'neuron-monitor' }]);
  });

  it('ends when the input fails, and logs why', async () => {
    const errors: unknown[] = [];
    const logger: Logger = { ...silentLogger, error: (fields) => void errors.push(fields['err']) };
    const input = new PassThrough();
    const sink = new RecordingSink();
    await using source = stdin(input, logger);
    await source.start(sink);
    input.write(`${EMPTY_RECORD}\n{"system`);
    await sink.until(({ batches }) => batches.length === 1);
    input.destroy(new Error('EIO: i/o error, read'));
    await sink.until(({ events }) => events.includes('ended'));
    expect(sink.events).toEqual(['live', 'batch', 'partial', 'ended']);
    expect(errors).toMatchObject([{ code: 'source_absent', message: 'EIO: i/o error, read' }]);
  });

  it('says nothing any more once it is disposed, however often', async () => {
    const taken: (() => void)[] = [];
    const sink = new RecordingSink((_batch: ReadingBatch) => new Promise((resolve) => void taken.push(resolve)));
    const input = new PassThrough();
    const source = stdin(input);
    await source.start(sink);
    input.write(`${EMPTY_RECORD}\n${EMPTY_RECORD}\n`);
    await sink.until(({ batches }) => batches.length === 1);
    const disposed = source[Symbol.asyncDispose]();
    taken[0]?.();
    await disposed;
    await source[Symbol.asyncDispose]();
    expect(sink.events).toEqual(['live', 'batch']);
    expect(input.destroyed).toBe(true);
  });

  it('can be disposed without having been started', async () => {
    const source = stdin(new PassThrough());
    await source[Symbol.asyncDispose]();
    expect([...source.groups()]).toEqual([]);
  });

  it.runIf(hasSamples)('hands over captured streams byte for byte (left out where ../shared/samples is absent)', async () => {
    const lines = sampleLines().map(({ bytes }) => bytes.toString('utf8'));
    const sink = await drain(lines.map((line) => `${line}\n`).join(''));
    expect(sink.lines).toEqual(lines);
    expect(sink.losses).toEqual([]);
    expect(sink.batches.flatMap(({ failures }) => failures)).toEqual([]);
  });
});
