import { gunzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BACKOFF_DEFAULTS, Backoff } from '../../../exporters/otlp/backoff.ts';
import { OTLP_DEFAULTS } from '../../../exporters/otlp/settings.ts';
import { RequestQueue } from '../../../exporters/otlp/queue.ts';
import type { OtlpRequest } from '../../../exporters/otlp/record.ts';
import { Sender } from '../../../exporters/otlp/sender.ts';
import { refusedVerdict, retryVerdict } from '../../../exporters/otlp/verdict.ts';
import type { Transport, Verdict } from '../../../exporters/otlp/verdict.ts';
import { silentLogger } from '../../../src/log.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { Ledger } from './ledger.ts';

const ACCEPTED: Verdict = { kind: 'accepted', rejectedPoints: 0, message: '' };

interface Attempt {
  readonly atMs: number;
  readonly request: OtlpRequest;
}

class FakeTransport implements Transport {
  readonly attempts: Attempt[] = [];
  judge: (request: OtlpRequest, index: number) => Verdict | Promise<Verdict> = () => ACCEPTED;
  isClosed = false;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async send(request: OtlpRequest, signal: AbortSignal): Promise<Verdict> {
    const index = this.attempts.push({ atMs: this.#clock.monotonicMs(), request }) - 1;
    const aborted = new Promise<Verdict>((resolve) => signal.addEventListener('abort', () => resolve(retryVerdict('aborted'))));
    return await Promise.race([this.judge(request, index), aborted]);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

function create(random = () => 1) {
  const clock = new ManualClock();
  const ledger = new Ledger();
  const transport = new FakeTransport(clock);
  const holder: { sender?: Sender } = {};
  const queue = new RequestQueue({ limits: OTLP_DEFAULTS.queue, clock, telemetry: ledger, onAdded: () => holder.sender?.added() });
  const sender = new Sender({
    queue,
    transport,
    backoff: new Backoff(BACKOFF_DEFAULTS, random),
    clock,
    telemetry: ledger,
    logger: silentLogger,
  });
  holder.sender = sender;
  function add(points: number, overrides: Partial<OtlpRequest> = {}): void {
    ledger.produced(points);
    void queue.add({
      body: Buffer.from(`${points}`),
      points,
      contentType: 'application/x-protobuf',
      contentEncoding: 'none',
      ...overrides,
    });
  }
  return { clock, ledger, transport, queue, sender, add };
}

function sentPoints(transport: FakeTransport): number[] {
  return transport.attempts.map(({ request }) => request.points);
}

describe('Sender', () => {
  it('sends in order, one at a time', async () => {
    const { clock, ledger, transport, sender, add } = create();
    const first = Promise.withResolvers<Verdict>();
    transport.judge = (_request, index) => (index === 0 ? first.promise : ACCEPTED);
    for (const points of [1, 2, 3]) add(points);
    await clock.advance(5000);
    expect(sentPoints(transport)).toEqual([1]);
    first.resolve(ACCEPTED);
    await clock.advance(0);
    expect(sentPoints(transport)).toEqual([1, 2, 3]);
    expect(ledger.sentPoints).toBe(6);
    await sender.close();
  });

  it('retries without an end, waiting longer each time up to half a minute', async () => {
    const { clock, ledger, transport, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503');
    add(1);
    await clock.advance(3_600_000);
    const waits = transport.attempts.slice(1).map(({ atMs }, index) => atMs - (transport.attempts[index]?.atMs ?? 0));
    expect(waits.slice(0, 4).map(Math.round)).toEqual([100, 130, 169, 220]);
    expect(waits.at(-1)).toBe(30_000);
    expect(waits.every((wait, index) => wait > (waits[index - 1] ?? 0) - 0.001)).toBe(true);
    expect(ledger.failures.length).toBe(transport.attempts.length);
    transport.judge = () => ACCEPTED;
    await clock.advance(30_000);
    expect(ledger.sentPoints).toBe(1);
    await sender.close();
  });

  it('spreads its waits between half a step and a whole one', async () => {
    const { clock, transport, sender, add } = create(() => 0);
    transport.judge = () => retryVerdict('HTTP 503');
    add(1);
    await clock.advance(130);
    expect(transport.attempts.map(({ atMs }) => atMs)).toEqual([0, 50, 115]);
    await sender.close();
  });

  it('starts from short waits again after a success', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503');
    add(1);
    await clock.advance(60_000);
    transport.judge = (request) => (request.points === 1 ? ACCEPTED : retryVerdict('HTTP 503'));
    add(2);
    await clock.advance(30_000);
    const second = transport.attempts.filter(({ request }) => request.points === 2);
    expect((second[1]?.atMs ?? 0) - (second[0]?.atMs ?? 0)).toBe(100);
    await sender.close();
  });

  it('waits as long as the receiver asks for and at most a tenth longer, new requests or not', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = (_request, index) => (index === 0 ? retryVerdict('HTTP 429', { retryAfterMs: 60_000 }) : ACCEPTED);
    add(1);
    await clock.advance(30_000);
    add(2);
    await clock.advance(29_999);
    expect(sentPoints(transport)).toEqual([1]);
    await clock.advance(6001);
    expect(sentPoints(transport)).toEqual([1, 1, 2]);
    await sender.close();
  });

  it('treats Retry-After: 0 like no wish at all', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503', { retryAfterMs: 0 });
    add(1);
    await clock.advance(1000);
    expect(transport.attempts.length).toBeLessThan(7);
    await sender.close();
  });

  it('counts partial success and never repeats it', async () => {
    const { clock, ledger, transport, sender, add } = create();
    transport.judge = () => ({ kind: 'accepted', rejectedPoints: 3, message: 'too old' });
    add(10);
    await clock.advance(600_000);
    expect(transport.attempts).toHaveLength(1);
    expect({ sent: ledger.sentPoints, dropped: ledger.dropped_ }).toEqual({ sent: 7, dropped: { partially_rejected: 3 } });
    await sender.close();
  });

  it('drops and counts what is refused for good, and goes on at once', async () => {
    const { clock, ledger, transport, sender, add } = create();
    transport.judge = (request) => (request.points === 1 ? refusedVerdict('HTTP 400') : ACCEPTED);
    for (const points of [1, 2]) add(points);
    await clock.advance(0);
    expect(sentPoints(transport)).toEqual([1, 2]);
    expect({ sent: ledger.sentPoints, dropped: ledger.dropped_ }).toEqual({ sent: 2, dropped: { rejected: 1 } });
    await sender.close();
  });

  it('drains a backlog at 20 times the pace of new requests, and at 10 a second without any', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503');
    for (let points = 1; points <= 1000; points += 1) add(points);
    await clock.advance(600_000);
    transport.judge = () => ACCEPTED;
    const failed = transport.attempts.length;
    await clock.advance(30_000);
    const burst = transport.attempts.length - failed;
    await clock.advance(10_000);
    expect(transport.attempts.length - failed - burst).toBe(100);
    const before = transport.attempts.length;
    for (let period = 0; period < 10; period += 1) {
      add(2000 + period);
      await clock.advance(1000);
    }
    expect(transport.attempts.length - before).toBe(10 * (20 + 10));
    expect(sentPoints(transport).slice(failed)).toEqual(expectedOrder(transport.attempts.length - failed));
    await sender.close();
  });

  it('drains at ten times the pace and more when a period has many requests', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503');
    for (let points = 1; points <= 2000; points += 1) add(points);
    await clock.advance(60_000);
    transport.judge = () => ACCEPTED;
    await clock.advance(31_000);
    const before = transport.attempts.length;
    for (let period = 0; period < 5; period += 1) {
      for (let request = 0; request < 10; request += 1) add(3000);
      await clock.advance(1000);
    }
    expect(transport.attempts.length - before).toBeGreaterThanOrEqual(5 * 10 * 10);
    await sender.close();
  });

  it('never slows down a healthy queue', async () => {
    const { clock, transport, sender, add } = create();
    for (let points = 1; points <= 500; points += 1) {
      add(points);
      await clock.advance(1);
      expect(transport.attempts).toHaveLength(points);
    }
    await sender.close();
  });

  it('flushes without waiting for its turn, and ends when nothing is left', async () => {
    const { clock, ledger, transport, queue, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503');
    for (let points = 1; points <= 100; points += 1) add(points);
    await clock.advance(600_000);
    transport.judge = () => ACCEPTED;
    const flushed = sender.flush(5000);
    await clock.advance(0);
    await flushed;
    expect(queue.state.requests).toBe(0);
    expect(ledger.missing(0)).toBe(0);
    await sender.close();
  });

  it('flushes no longer than it may', async () => {
    const { clock, transport, queue, sender, add } = create();
    transport.judge = () => new Promise(() => {});
    add(1);
    let isOver = false;
    const flushed = sender.flush(5000).then(() => (isOver = true));
    await clock.advance(4999);
    expect(isOver).toBe(false);
    await clock.advance(1);
    await flushed;
    expect(queue.state.requests).toBe(1);
    await sender.close();
  });

  it('does not cut short a wait that the receiver asked for, not even to flush', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryVerdict('HTTP 503', { retryAfterMs: 60_000 });
    add(1);
    await clock.advance(0);
    const flushed = sender.flush(5000);
    await clock.advance(5000);
    await flushed;
    expect(transport.attempts).toHaveLength(1);
    await sender.close();
  });

  it('leaves the request under way in the queue when it is closed', async () => {
    const { clock, ledger, transport, queue, sender, add } = create();
    transport.judge = () => new Promise(() => {});
    add(1);
    await clock.advance(0);
    await sender.close();
    expect(transport.isClosed).toBe(true);
    expect(queue.state.requests).toBe(1);
    expect(ledger.failures).toEqual([]);
  });

  describe('with zstd', () => {
    const body = zstdCompressSync('body');

    it('changes to gzip for good when the receiver takes only that', async () => {
      const { clock, ledger, transport, sender, add } = create();
      transport.judge = ({ contentEncoding }) => (contentEncoding === 'zstd' ? refusedVerdict('HTTP 415', true) : ACCEPTED);
      for (const points of [1, 2]) add(points, { body, contentEncoding: 'zstd' });
      await clock.advance(100);
      await eventually(() => ledger.sentPoints === 3, clock);
      expect(transport.attempts.map(({ request }) => request.contentEncoding)).toEqual(['zstd', 'gzip', 'gzip']);
      expect(gunzipSync(transport.attempts[1]?.request.body ?? '').toString()).toBe('body');
      expect(ledger.dropped_).toEqual({});
      await sender.close();
    });

    it('takes a refusal of both for a refusal of the data', async () => {
      const { clock, ledger, transport, sender, add } = create();
      transport.judge = () => refusedVerdict('HTTP 400', true);
      add(1, { body, contentEncoding: 'zstd' });
      await eventually(() => ledger.droppedPoints === 1, clock);
      expect(transport.attempts).toHaveLength(2);
      await sender.close();
    });

    it('does not doubt the encoding once it was accepted', async () => {
      const { clock, ledger, transport, sender, add } = create();
      transport.judge = ({ points }) => (points === 1 ? ACCEPTED : refusedVerdict('HTTP 400', true));
      for (const points of [1, 2]) add(points, { body, contentEncoding: 'zstd' });
      await eventually(() => ledger.droppedPoints === 2, clock);
      expect(sentPoints(transport)).toEqual([1, 2]);
      await sender.close();
    });

    it('drops a body that cannot be read back', async () => {
      const { clock, ledger, transport, sender, add } = create();
      transport.judge = () => refusedVerdict('HTTP 400', true);
      add(1, { body: Buffer.from('no zstd'), contentEncoding: 'zstd' });
      await eventually(() => ledger.droppedPoints === 1, clock);
      expect(ledger.dropped_).toEqual({ rejected: 1 });
      await sender.close();
    });
  });
});

/** 1, 2, 3 …, then the requests that were added later. */
function expectedOrder(length: number): number[] {
  return Array.from({ length }, (_, index) => index + 1);
}

/** Compression runs on other threads, outside the manual clock. */
async function eventually(condition: () => boolean, clock: ManualClock): Promise<void> {
  for (let round = 0; round < 2000 && !condition(); round += 1) {
    await clock.advance(0);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(condition()).toBe(true);
}
