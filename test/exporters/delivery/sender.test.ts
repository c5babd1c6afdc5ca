import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BACKOFF_DEFAULTS, Backoff } from '../../../exporters/delivery/backoff.ts';
import { BatchLimit } from '../../../exporters/delivery/batch-limit.ts';
import { OTLP_DEFAULTS } from '../../../exporters/otlp/settings.ts';
import { RequestQueue } from '../../../exporters/delivery/queue.ts';
import type { DeliveryRequest, RequestFormat } from '../../../exporters/delivery/request.ts';
import { Sender } from '../../../exporters/delivery/sender.ts';
import { noReceiver, refused, retryLater, tooLarge } from '../../../exporters/delivery/outcome.ts';
import type { Transport, SendOutcome } from '../../../exporters/delivery/outcome.ts';
import { silentLogger } from '../../../src/log.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { EventCounts } from './event-counts.ts';

/** The body of a request is its points, of merged ones separated by commas. */
const FORMAT: RequestFormat = {
  merge: (bodies) => Buffer.from(bodies.join(',')),
  split: (body) => {
    const points = Number(body.toString());
    if (!(points > 1)) return undefined;
    return [Math.ceil(points / 2), Math.floor(points / 2)].map((part) => ({ body: Buffer.from(`${part}`), points: part }));
  },
};

const ACCEPTED: SendOutcome = { kind: 'accepted', rejectedPoints: 0, message: '' };

interface Attempt {
  readonly atMs: number;
  readonly request: DeliveryRequest;
}

class FakeTransport implements Transport {
  readonly attempts: Attempt[] = [];
  judge: (request: DeliveryRequest, index: number) => SendOutcome | Promise<SendOutcome> = () => ACCEPTED;
  isClosed = false;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async send(request: DeliveryRequest, signal: AbortSignal): Promise<SendOutcome> {
    const index = this.attempts.push({ atMs: this.#clock.monotonicMs(), request }) - 1;
    const aborted = new Promise<SendOutcome>((resolve) => signal.addEventListener('abort', () => resolve(noReceiver('aborted'))));
    return await Promise.race([this.judge(request, index), aborted]);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

function create(random = () => 1, batch = { ...OTLP_DEFAULTS.batch, max_points: 1 }) {
  const clock = new ManualClock();
  const counts = new EventCounts();
  const transport = new FakeTransport(clock);
  const holder: { sender?: Sender } = {};
  const queue = new RequestQueue({ limits: OTLP_DEFAULTS.queue, clock, events: counts, onAdded: () => holder.sender?.added() });
  const limit = new BatchLimit(batch, silentLogger);
  const sender = new Sender({
    queue,
    transport,
    format: FORMAT,
    limit,
    backoff: new Backoff(BACKOFF_DEFAULTS, random),
    clock,
    events: counts,
    logger: silentLogger,
  });
  holder.sender = sender;
  function add(points: number, overrides: Partial<DeliveryRequest> = {}): void {
    counts.produced(points);
    void queue.add({
      body: Buffer.from(`${points}`),
      points,
      rawBytes: 100,
      contentType: 'application/x-protobuf',
      contentEncoding: 'none',
      ...overrides,
    });
  }
  return { clock, counts, transport, queue, sender, limit, add };
}

function waitsOf(transport: FakeTransport): number[] {
  return transport.attempts.slice(1).map(({ atMs }, index) => atMs - (transport.attempts[index]?.atMs ?? 0));
}

function sentPoints(transport: FakeTransport): number[] {
  return transport.attempts.map(({ request }) => request.points);
}

describe('Sender', () => {
  it('sends in order, one at a time', async () => {
    const { clock, counts, transport, sender, add } = create();
    const first = Promise.withResolvers<SendOutcome>();
    transport.judge = (_request, index) => (index === 0 ? first.promise : ACCEPTED);
    for (const points of [1, 2, 3]) add(points);
    await clock.advance(5000);
    expect(sentPoints(transport)).toEqual([1]);
    first.resolve(ACCEPTED);
    await clock.advance(0);
    expect(sentPoints(transport)).toEqual([1, 2, 3]);
    expect(counts.sentPoints).toBe(6);
    await sender.close();
  });

  it('retries without an end where nothing answers, waiting longer each time up to half a minute', async () => {
    const { clock, counts, transport, sender, add } = create();
    transport.judge = () => noReceiver('ECONNREFUSED');
    add(1);
    await clock.advance(3_600_000);
    const waits = waitsOf(transport);
    expect(waits.slice(0, 4).map(Math.round)).toEqual([50, 65, 85, 110]);
    expect(waits.at(-1)).toBe(30_000);
    expect(waits.every((wait, index) => wait > (waits[index - 1] ?? 0) - 0.001)).toBe(true);
    expect(counts.failures.length).toBe(transport.attempts.length);
    transport.judge = () => ACCEPTED;
    await clock.advance(30_000);
    expect(counts.sentPoints).toBe(1);
    await sender.close();
  });

  it('asks a receiver that answers every second at least', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryLater('HTTP 503');
    add(1);
    await clock.advance(600_000);
    expect(waitsOf(transport).slice(0, 4).map(Math.round)).toEqual([50, 65, 85, 110]);
    expect(waitsOf(transport).at(-1)).toBe(1000);
    await sender.close();
  });

  it('returns to short waits with the first answer after an outage', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => noReceiver('ECONNREFUSED');
    add(1);
    await clock.advance(600_000);
    transport.judge = () => retryLater('HTTP 503');
    const before = transport.attempts.length;
    await clock.advance(60_000);
    expect(transport.attempts.length - before).toBeGreaterThanOrEqual(7);
    await sender.close();
  });

  it('spreads its waits between half a step and a whole one', async () => {
    const { clock, transport, sender, add } = create(() => 0);
    transport.judge = () => retryLater('HTTP 503');
    add(1);
    await clock.advance(65);
    expect(transport.attempts.map(({ atMs }) => atMs)).toEqual([0, 25, 57.5]);
    await sender.close();
  });

  it('starts from short waits again after a success', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => retryLater('HTTP 503');
    add(1);
    await clock.advance(60_000);
    transport.judge = (request) => (request.points === 1 ? ACCEPTED : retryLater('HTTP 503'));
    add(2);
    await clock.advance(30_000);
    const second = transport.attempts.filter(({ request }) => request.points === 2);
    expect((second[1]?.atMs ?? 0) - (second[0]?.atMs ?? 0)).toBe(50);
    await sender.close();
  });

  it('waits as long as the receiver asks for and at most a tenth longer, new requests or not', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = (_request, index) => (index === 0 ? retryLater('HTTP 429', 60_000) : ACCEPTED);
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
    transport.judge = () => retryLater('HTTP 503', 0);
    add(1);
    await clock.advance(1000);
    expect(transport.attempts.length).toBeLessThan(9);
    await sender.close();
  });

  it('counts partial success and never repeats it', async () => {
    const { clock, counts, transport, sender, add } = create();
    transport.judge = () => ({ kind: 'accepted', rejectedPoints: 3, message: 'too old' });
    add(10);
    await clock.advance(600_000);
    expect(transport.attempts).toHaveLength(1);
    expect(counts.sentPoints).toBe(7);
    expect(counts.dropped_).toEqual({ partially_rejected: 3 });
    await sender.close();
  });

  it('drops and counts what is refused for good, and goes on at once', async () => {
    const { clock, counts, transport, sender, add } = create();
    transport.judge = (request) => (request.points === 1 ? refused('HTTP 400') : ACCEPTED);
    for (const points of [1, 2]) add(points);
    await clock.advance(0);
    expect(sentPoints(transport)).toEqual([1, 2]);
    expect(counts.sentPoints).toBe(2);
    expect(counts.dropped_).toEqual({ rejected: 1 });
    await sender.close();
  });

  it('drains a backlog at 20 times the pace of new requests, and at 10 a second without any', async () => {
    const { clock, transport, sender, add } = create();
    transport.judge = () => noReceiver('ECONNREFUSED');
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
    transport.judge = () => noReceiver('ECONNREFUSED');
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
    const { clock, counts, transport, queue, sender, add } = create();
    transport.judge = () => noReceiver('ECONNREFUSED');
    for (let points = 1; points <= 100; points += 1) add(points);
    await clock.advance(600_000);
    transport.judge = () => ACCEPTED;
    const flushed = sender.flush(5000);
    await clock.advance(0);
    await flushed;
    expect(queue.state.requests).toBe(0);
    expect(counts.missing(0)).toBe(0);
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
    transport.judge = () => retryLater('HTTP 503', 60_000);
    add(1);
    await clock.advance(0);
    const flushed = sender.flush(5000);
    await clock.advance(5000);
    await flushed;
    expect(transport.attempts).toHaveLength(1);
    await sender.close();
  });

  it('leaves the request under way in the queue when it is closed', async () => {
    const { clock, counts, transport, queue, sender, add } = create();
    transport.judge = () => new Promise(() => {});
    add(1);
    await clock.advance(0);
    await sender.close();
    expect(transport.isClosed).toBe(true);
    expect(queue.state.requests).toBe(1);
    expect(counts.failures).toEqual([]);
  });

  describe('with a backlog', () => {
    const batch = { max_points: 100, max_bytes: 10_000 };

    it('merges what waits up to the batch limit, in order', async () => {
      const { clock, counts, transport, sender, add } = create(() => 1, batch);
      transport.judge = () => retryLater('HTTP 503');
      for (let request = 0; request < 10; request += 1) add(30);
      await clock.advance(1000);
      transport.judge = () => ACCEPTED;
      const failed = transport.attempts.length;
      await eventually(() => counts.sentPoints === 300, clock);
      const bodies = transport.attempts.slice(failed).map(({ request }) => request.body.toString());
      expect(bodies).toEqual(['30,30,30', '30,30,30', '30,30,30', '30']);
      await sender.close();
    });

    it('decompresses, merges and compresses again', async () => {
      const { clock, counts, transport, sender, add } = create(() => 1, batch);
      transport.judge = () => retryLater('HTTP 503');
      for (const points of [1, 2]) add(points, { body: gzipSync(`${points}`), contentEncoding: 'gzip' });
      await clock.advance(1000);
      transport.judge = () => ACCEPTED;
      await eventually(() => counts.sentPoints === 3, clock);
      const last = transport.attempts.at(-1)?.request;
      expect(last?.contentEncoding).toBe('gzip');
      expect(gunzipSync(last?.body ?? '').toString()).toBe('1,2');
      expect(last?.points).toBe(3);
      await sender.close();
    });

    it('sends one by one what cannot be merged', async () => {
      const { clock, counts, transport, sender, add } = create(() => 1, batch);
      transport.judge = () => retryLater('HTTP 503');
      for (const points of [1, 2]) add(points, { body: Buffer.from('no gzip'), contentEncoding: 'gzip' });
      await clock.advance(1000);
      transport.judge = () => ACCEPTED;
      await eventually(() => counts.sentPoints === 3, clock);
      expect(sentPoints(transport).slice(-2)).toEqual([1, 2]);
      await sender.close();
    });

    it('delivers 10,000 points a second although 70 % of all attempts are refused, within 10 s of the end', async () => {
      const random = sequence(7);
      const { clock, counts, transport, queue, sender, add } = create(random, OTLP_DEFAULTS.batch);
      transport.judge = () => (random() < 0.7 ? retryLater('HTTP 503') : ACCEPTED);
      for (let tick = 0; tick < 600; tick += 1) {
        add(1000);
        await clock.advance(100);
      }
      await clock.advance(10_000);
      expect(queue.state.points).toBe(0);
      expect(counts.sentPoints).toBe(600_000);
      await sender.close();
    });
  });

  describe('with a receiver that takes small requests only', () => {
    const takesUpTo = (limit: number) => (request: DeliveryRequest) => (request.points > limit ? tooLarge('HTTP 413') : ACCEPTED);

    it('divides what is queued, makes later requests smaller, and loses nothing', async () => {
      const { clock, counts, transport, sender, limit, add } = create(() => 1, { max_points: 10_000, max_bytes: 1_000_000 });
      transport.judge = takesUpTo(300);
      add(1000);
      await clock.advance(1000);
      await eventually(() => counts.sentPoints === 1000, clock);
      expect(sentPoints(transport)).toEqual([1000, 500, 250, 250, 500, 250, 250]);
      expect(limit.current.max_points).toBe(250);
      expect(counts.dropped_).toEqual({});
      await sender.close();
    });

    it('merges no more than the receiver takes', async () => {
      const { clock, counts, transport, sender, add } = create(() => 1, { max_points: 10_000, max_bytes: 1_000_000 });
      transport.judge = () => retryLater('HTTP 503');
      for (let request = 0; request < 8; request += 1) add(200);
      await clock.advance(1000);
      transport.judge = takesUpTo(450);
      await eventually(() => counts.sentPoints === 1600, clock);
      expect(Math.max(...sentPoints(transport).slice(-4))).toBe(400);
      expect(counts.dropped_).toEqual({});
      await sender.close();
    });

    it('drops and counts what cannot be divided further', async () => {
      const { clock, counts, transport, sender, add } = create(() => 1, { max_points: 10_000, max_bytes: 1_000_000 });
      transport.judge = () => tooLarge('HTTP 413');
      add(1000);
      await eventually(() => counts.droppedPoints === 1000, clock);
      expect(counts.dropped_).toEqual({ rejected: 1000 });
      await sender.close();
    });
  });

  describe('with zstd', () => {
    const body = zstdCompressSync('body');

    it('changes to gzip for good when the receiver takes only that', async () => {
      const { clock, counts, transport, sender, add } = create();
      transport.judge = ({ contentEncoding }) => (contentEncoding === 'zstd' ? refused('HTTP 415', true) : ACCEPTED);
      for (const points of [1, 2]) add(points, { body, contentEncoding: 'zstd' });
      await clock.advance(100);
      await eventually(() => counts.sentPoints === 3, clock);
      expect(transport.attempts.map(({ request }) => request.contentEncoding)).toEqual(['zstd', 'gzip', 'gzip']);
      expect(gunzipSync(transport.attempts[1]?.request.body ?? '').toString()).toBe('body');
      expect(counts.dropped_).toEqual({});
      await sender.close();
    });

    it('changes to no compression when the receiver takes neither', async () => {
      const { clock, counts, transport, sender, add } = create();
      transport.judge = ({ contentEncoding }) => (contentEncoding === 'none' ? ACCEPTED : refused('HTTP 415', true));
      for (const points of [1, 2]) add(points, { body, contentEncoding: 'zstd' });
      await eventually(() => counts.sentPoints === 3, clock);
      expect(transport.attempts.map(({ request }) => request.contentEncoding)).toEqual(['zstd', 'gzip', 'none', 'none']);
      expect(transport.attempts[3]?.request.body.toString()).toBe('body');
      expect(counts.dropped_).toEqual({});
      await sender.close();
    });

    it('takes a refusal of all for a refusal of the data', async () => {
      const { clock, counts, transport, sender, add } = create();
      transport.judge = () => refused('HTTP 400', true);
      add(1, { body, contentEncoding: 'zstd' });
      await eventually(() => counts.droppedPoints === 1, clock);
      expect(transport.attempts).toHaveLength(3);
      await sender.close();
    });

    it('does not doubt the encoding once it was accepted', async () => {
      const { clock, counts, transport, sender, add } = create();
      transport.judge = ({ points }) => (points === 1 ? ACCEPTED : refused('HTTP 400', true));
      for (const points of [1, 2]) add(points, { body, contentEncoding: 'zstd' });
      await eventually(() => counts.droppedPoints === 2, clock);
      expect(sentPoints(transport)).toEqual([1, 2]);
      await sender.close();
    });

    it('drops a body that cannot be read back', async () => {
      const { clock, counts, transport, sender, add } = create();
      transport.judge = () => refused('HTTP 400', true);
      add(1, { body: Buffer.from('no zstd'), contentEncoding: 'zstd' });
      await eventually(() => counts.droppedPoints === 1, clock);
      expect(counts.dropped_).toEqual({ rejected: 1 });
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
    await clock.advance(10);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(condition()).toBe(true);
}

/** Random numbers that are the same in every run (mulberry32). */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
