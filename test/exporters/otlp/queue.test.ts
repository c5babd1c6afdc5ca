import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OTLP_DEFAULTS } from '../../../exporters/otlp/settings.ts';
import type { OtlpSettings } from '../../../exporters/otlp/settings.ts';
import { RequestQueue } from '../../../exporters/otlp/queue.ts';
import { systemClock } from '../../../src/host.ts';
import type { Clock } from '../../../src/host.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { FaultyFiles } from './faulty-files.ts';
import { Ledger } from './ledger.ts';

const KIB = 1024;

let directory = '';

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'otlp-queue-')), 'queue');
});

afterEach(() => {
  rmSync(join(directory, '..'), { recursive: true });
});

interface Subject {
  readonly queue: RequestQueue;
  readonly ledger: Ledger;
  readonly files: FaultyFiles;
  added: number;
}

function create(limits: Partial<OtlpSettings['queue']> = {}, clock: Clock = systemClock): Subject {
  const ledger = new Ledger();
  const files = new FaultyFiles();
  const subject = { ledger, files, added: 0 };
  const queue = new RequestQueue({
    limits: { ...OTLP_DEFAULTS.queue, ...limits },
    clock,
    telemetry: ledger,
    files,
    onAdded: () => (subject.added += 1),
  });
  return { ...subject, queue };
}

/** The points of a request are its name. */
function add({ queue, ledger }: Subject, points: number, bytes = 100): void {
  ledger.produced(points);
  void queue.add({ body: Buffer.alloc(bytes, `${points},`), points, contentType: 'application/x-protobuf', contentEncoding: 'none' });
}

async function takeOne({ queue, ledger }: Subject): Promise<number | undefined> {
  const entry = await queue.next();
  if (entry === undefined) return undefined;
  const removed = queue.done(entry);
  ledger.sent(entry.request.points);
  await removed;
  return entry.request.points;
}

async function takeAll(subject: Subject): Promise<number[]> {
  const taken: number[] = [];
  for (let points = await takeOne(subject); points !== undefined; points = await takeOne(subject)) taken.push(points);
  return taken;
}

async function durable({ queue }: Subject): Promise<void> {
  await vi.waitFor(() => expect(queue.state.isDurable).toBe(true));
}

async function troubled({ ledger }: Subject, count = 1): Promise<void> {
  await vi.waitFor(() => expect(ledger.troubles.length).toBeGreaterThanOrEqual(count));
}

describe('RequestQueue in memory', () => {
  it('is first in, first out, and gives the same request until it is done', async () => {
    const subject = create();
    for (const points of [1, 2, 3]) add(subject, points);
    expect(await subject.queue.next()).toBe(await subject.queue.next());
    expect(subject.queue.state).toMatchObject({
      points: 6,
      requests: 3,
      isDurable: false,
      capacityBytes: OTLP_DEFAULTS.queue.max_memory_bytes,
    });
    expect(await takeAll(subject)).toEqual([1, 2, 3]);
    expect(subject.queue.state).toMatchObject({ points: 0, requests: 0, bytes: 0, oldestAgeMs: 0 });
  });

  it('drops the oldest when it is full, but never the one being sent nor the newest', async () => {
    const subject = create({ max_memory_bytes: 4 * KIB });
    add(subject, 1, KIB);
    await subject.queue.next();
    for (const points of [2, 3, 4, 5, 6]) add(subject, points, KIB);
    expect(subject.ledger.dropped_).toEqual({ queue_full: 2 + 3 + 4 });
    expect(await takeAll(subject)).toEqual([1, 5, 6]);
    add(subject, 7, 64 * KIB);
    expect(await takeAll(subject)).toEqual([7]);
    expect(subject.ledger.missing(0)).toBe(0);
  });

  it('drops what is too old, by a clock that does not jump', async () => {
    const clock = new ManualClock();
    const subject = create({ max_age: 60_000 }, clock);
    add(subject, 1);
    await clock.advance(50_000);
    add(subject, 2);
    clock.jumpWallClock(86_400_000);
    await clock.advance(10_001);
    expect(subject.queue.state.oldestAgeMs).toBe(60_001);
    expect(await takeAll(subject)).toEqual([2]);
    expect(subject.ledger.dropped_).toEqual({ expired: 1 });
  });

  it('counts what is left at the end', async () => {
    const subject = create();
    for (const points of [1, 2, 3]) add(subject, points);
    await subject.queue.close();
    add(subject, 4);
    expect(subject.ledger.dropped_).toEqual({ shutdown: 10 });
    expect(subject.ledger.missing(subject.queue.state.points)).toBe(0);
  });
});

describe('RequestQueue on disk', () => {
  it('goes on after a restart, and says how much it found', async () => {
    const first = create({ directory });
    for (const points of [1, 2, 3, 4]) add(first, points);
    expect(await takeOne(first)).toBe(1);
    await first.queue.close();
    expect(first.ledger.missing(9)).toBe(0);
    const second = create({ directory });
    add(second, 5);
    await durable(second);
    expect(second.ledger.recoveredPoints).toBe(9);
    expect(second.queue.state).toMatchObject({ points: 14, requests: 4, capacityBytes: OTLP_DEFAULTS.queue.max_bytes });
    expect(await takeAll(second)).toEqual([2, 3, 4, 5]);
    expect(second.ledger.missing(0)).toBe(0);
    await second.queue.close();
  });

  it('makes its folder for itself alone', async () => {
    const subject = create({ directory: join(directory, 'deep') });
    await durable(subject);
    expect([directory, join(directory, 'deep')].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700]);
    await subject.queue.close();
  });

  it('drains a backlog that is larger than what it keeps in memory, in order', async () => {
    const subject = create({ directory });
    const expected = Array.from({ length: 200 }, (_, index) => index + 1);
    for (const points of expected) add(subject, points, 50 * KIB);
    await vi.waitFor(() => expect(bytesOnDisk()).toBeGreaterThan(200 * 50 * KIB));
    expect(await takeAll(subject)).toEqual(expected);
    expect(subject.ledger.missing(0)).toBe(0);
    await subject.queue.close();
  });

  it('drops the oldest at its cap on disk, counts it, and goes on with the one being sent', async () => {
    const subject = create({ directory, max_bytes: 400 * KIB, max_memory_bytes: 64 * KIB });
    await durable(subject);
    add(subject, 1, 40 * KIB);
    const sending = await subject.queue.next();
    for (let points = 2; points <= 40; points += 1) {
      add(subject, points, 40 * KIB);
      await vi.waitFor(() => expect(subject.queue.state.isDurable && readdirSync(directory).length > 0).toBe(true));
    }
    await vi.waitFor(() => expect(subject.ledger.dropped_.queue_full).toBeGreaterThan(0));
    expect(await subject.queue.next()).toBe(sending);
    const taken = await takeAll(subject);
    expect(taken[0]).toBe(1);
    expect(taken.slice(1)).toEqual(Array.from({ length: taken.length - 1 }, (_, index) => 41 - taken.length + 1 + index));
    expect(subject.ledger.missing(0)).toBe(0);
    await subject.queue.close();
  });

  it.each(['ENOSPC', 'EIO', 'EROFS', 'EDQUOT'])('goes on in memory while writing fails with %s, and returns to disk', async (code) => {
    const subject = create({ directory });
    add(subject, 1);
    await durable(subject);
    subject.files.fail(code, 'write', 'truncate');
    add(subject, 2);
    await troubled(subject);
    add(subject, 3);
    expect(subject.queue.state).toMatchObject({ points: 6, requests: 3, isDurable: false });
    subject.files.heal();
    add(subject, 4);
    await durable(subject);
    expect(subject.ledger.durable).toBe(2);
    await subject.queue.close();
    const next = create({ directory });
    expect(await takeAll(next)).toEqual([1, 2, 3, 4]);
    expect(next.ledger.recoveredPoints).toBe(10);
    await next.queue.close();
  });

  it('holds a bound in memory while the disk fails, and counts what gives way', async () => {
    const subject = create({ directory, max_memory_bytes: 4 * KIB });
    await durable(subject);
    subject.files.fail('ENOSPC', 'write');
    for (let points = 1; points <= 10; points += 1) {
      add(subject, points, KIB);
      await troubled(subject, points);
    }
    expect(subject.queue.state.bytes).toBeLessThanOrEqual(4 * KIB);
    expect(subject.ledger.dropped_).toEqual({ queue_full: 1 + 2 + 3 + 4 + 5 + 6 + 7 });
    expect(await takeAll(subject)).toEqual([8, 9, 10]);
    await subject.queue.close();
  });

  it.each([
    { code: 'EROFS', operations: ['makeDirectory'] },
    { code: 'EACCES', operations: ['open'] },
    { code: 'EMFILE', operations: ['open', 'list'] },
  ] as const)('delivers from memory when the folder cannot be opened ($code), and opens it later', async ({ code, operations }) => {
    const clock = new SteppingClock();
    const ledger = new Ledger();
    const files = new FaultyFiles();
    files.fail(code, ...operations);
    const queue = new RequestQueue({ limits: { ...OTLP_DEFAULTS.queue, directory }, clock, telemetry: ledger, files, onAdded: () => {} });
    const subject: Subject = { queue, ledger, files, added: 0 };
    add(subject, 1);
    expect(await takeOne(subject)).toBe(1);
    add(subject, 2);
    await nextTurn();
    files.heal();
    clock.offsetMs += 2000;
    add(subject, 3);
    await durable(subject);
    expect(await takeAll(subject)).toEqual([2, 3]);
    await queue.close();
    expect(readdirSync(directory)).toEqual(['cursor']);
  });

  it('sets a file aside that stays unreadable, rather than hold up what comes after it', async () => {
    const first = create({ directory });
    add(first, 1);
    await first.queue.close();
    const subject = create({ directory });
    await durable(subject);
    subject.files.fail('EIO', 'read');
    for (let attempt = 0; attempt < 5; attempt += 1) expect(await subject.queue.next()).toBeUndefined();
    subject.files.heal();
    add(subject, 2);
    expect(await takeAll(subject)).toEqual([2]);
    expect(subject.ledger.dropped_).toEqual({ corrupt: 1 });
    expect(readdirSync(directory)).toContain('000000000001.corrupt');
    await subject.queue.close();
  });

  it('leaves the folder to the process that has it, and takes over when that one ends', async () => {
    const owner = create({ directory });
    add(owner, 1);
    await durable(owner);
    const clock = new SteppingClock();
    const ledger = new Ledger();
    const queue = new RequestQueue({ limits: { ...OTLP_DEFAULTS.queue, directory }, clock, telemetry: ledger, onAdded: () => {} });
    const second: Subject = { queue, ledger, files: new FaultyFiles(), added: 0 };
    add(second, 2);
    await troubled(second);
    expect(ledger.troubles[0]?.message).toBe('queue folder belongs to another process');
    expect(await takeAll(second)).toEqual([2]);
    await owner.queue.close();
    clock.offsetMs += 2000;
    add(second, 3);
    await durable(second);
    expect(await takeAll(second)).toEqual([1, 3]);
    await queue.close();
  });

  it('accounts for every point, whatever happens in whatever order', async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('add' as const), bytes: fc.integer({ min: 1, max: 60 * KIB }) }) },
      { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('take' as const, 'peek' as const) }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constantFrom('break' as const, 'heal' as const, 'pause' as const, 'restart' as const) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        rmSync(directory, { recursive: true, force: true });
        const limits = { directory, max_bytes: 600 * KIB, max_memory_bytes: 128 * KIB };
        let subject = create(limits);
        let name = 0;
        let last = 0;
        for (const one of steps) {
          if (one.kind === 'add') add(subject, (name += 1), one.bytes);
          else if (one.kind === 'take') last = increasing(last, await takeOne(subject));
          else if (one.kind === 'peek') await subject.queue.next();
          else if (one.kind === 'break') subject.files.fail('ENOSPC', 'write', 'open');
          else if (one.kind === 'heal') subject.files.heal();
          else if (one.kind === 'pause') await nextTurn();
          else {
            await subject.queue.close();
            expect(subject.ledger.missing(subject.queue.state.points)).toBe(0);
            const { points } = subject.queue.state;
            subject = create(limits);
            await durable(subject);
            expect(subject.ledger.recoveredPoints).toBe(points);
          }
          expect(subject.ledger.missing(subject.queue.state.points)).toBe(0);
        }
        subject.files.heal();
        for (const points of await takeAll(subject)) last = increasing(last, points);
        expect(subject.ledger.missing(0)).toBe(0);
        expect(subject.queue.state.requests).toBe(0);
        await subject.queue.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

/** Real time, and more when a test says so. */
class SteppingClock implements Clock {
  offsetMs = 0;
  readonly nowMs = (): number => systemClock.nowMs() + this.offsetMs;
  readonly monotonicMs = (): number => systemClock.monotonicMs() + this.offsetMs;
  readonly setTimer: Clock['setTimer'] = (...timer) => systemClock.setTimer(...timer);
}

function bytesOnDisk(): number {
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function increasing(before: number, points: number | undefined): number {
  if (points === undefined) return before;
  expect(points).toBeGreaterThan(before);
  return points;
}
