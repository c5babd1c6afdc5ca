import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RequestQueue } from '../../../exporters/delivery/queue.ts';
import type { QueueLimits, TakeLimit } from '../../../exporters/delivery/queue-entries.ts';
import { OTLP_DEFAULTS } from '../../../exporters/otlp/settings.ts';
import { systemClock } from '../../../src/host.ts';
import type { Clock } from '../../../src/host.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { EventCounts } from './event-counts.ts';
import { FaultyFiles } from './faulty-files.ts';

const KIB = 1024;
const ONE: TakeLimit = { maxRequests: 1, max_points: Number.POSITIVE_INFINITY, max_bytes: Number.POSITIVE_INFINITY };

let directory = '';

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'queue-')), 'queue');
});

afterEach(() => {
  rmSync(join(directory, '..'), { recursive: true });
});

interface Subject {
  readonly queue: RequestQueue;
  readonly counts: EventCounts;
  readonly files: FaultyFiles;
}

function create(limits: Partial<QueueLimits> = {}, clock: Clock = systemClock, files = new FaultyFiles()): Subject {
  const counts = new EventCounts();
  const queue = new RequestQueue({ limits: { ...OTLP_DEFAULTS.queue, ...limits }, clock, events: counts, files, onAdded: () => {} });
  return { counts, files, queue };
}

/** The points of a request are its name. */
function add({ queue, counts }: Subject, points: number, bytes = 100): Promise<void> {
  counts.produced(points);
  const body = Buffer.alloc(bytes, `${points},`);
  return queue.add({ body, points, rawBytes: bytes, contentType: 'application/x-protobuf', contentEncoding: 'none' });
}

async function takeOne({ queue, counts }: Subject, limit = ONE): Promise<number | undefined> {
  const taken = await queue.take(limit);
  if (taken === undefined) return undefined;
  const removed = queue.done(taken);
  counts.sent(taken.points);
  await removed;
  return taken.points;
}

async function takeAll(subject: Subject): Promise<number[]> {
  const taken: number[] = [];
  for (let points = await takeOne(subject); points !== undefined; points = await takeOne(subject)) taken.push(points);
  return taken;
}

async function durable({ queue }: Subject): Promise<void> {
  await vi.waitFor(() => expect(queue.state.isDurable).toBe(true));
}

async function queueFailed({ counts }: Subject, count = 1): Promise<void> {
  await vi.waitFor(() => expect(counts.queueFailures.length).toBeGreaterThanOrEqual(count));
}

function missing({ counts, queue }: Subject): number {
  return counts.missing(queue.state.points);
}

function requestFiles(): string[] {
  return readdirSync(directory).filter((name) => name.endsWith('.request'));
}

/** A folder with requests 1, 2, … that a process left behind. */
async function leaveBehind(count: number, limits: Partial<QueueLimits> = {}): Promise<void> {
  const first = create({ directory, ...limits });
  for (let points = 1; points <= count; points += 1) await add(first, points);
  await first.queue.close();
}

describe('RequestQueue in memory', () => {
  it('is first in, first out', async () => {
    const subject = create();
    for (const points of [1, 2, 3]) await add(subject, points);
    expect(await takeAll(subject)).toEqual([1, 2, 3]);
    expect(subject.queue.state).toMatchObject({ points: 0, requests: 0, bytes: 0, oldestAgeMs: 0 });
  });

  it('gives a request again that was put back', async () => {
    const subject = create();
    await add(subject, 1);
    const taken = await subject.queue.take(ONE);
    subject.queue.putBack(taken ?? { entries: [] });
    expect(await takeAll(subject)).toEqual([1]);
  });

  it('gives as many requests at once as fit together by number, points and bytes, and always the first one', async () => {
    const subject = create();
    for (const points of [10, 20, 30, 40]) await add(subject, points, 100);
    const sizes = async (limit: Partial<TakeLimit>): Promise<number> => {
      const taken = await subject.queue.take({ ...ONE, maxRequests: 100, ...limit });
      subject.queue.putBack(taken ?? { entries: [] });
      return taken?.requests.length ?? 0;
    };
    expect(await sizes({})).toBe(4);
    expect(await sizes({ maxRequests: 3 })).toBe(3);
    expect(await sizes({ max_points: 60 })).toBe(3);
    expect(await sizes({ max_points: 59 })).toBe(2);
    expect(await sizes({ max_bytes: 200 })).toBe(2);
    expect(await sizes({ max_points: 1 })).toBe(1);
    expect(await sizes({ maxRequests: 0 })).toBe(1);
  });

  it('does not mix content types', async () => {
    const subject = create();
    await add(subject, 1);
    subject.counts.produced(2);
    await subject.queue.add({ body: Buffer.from('{}'), points: 2, rawBytes: 2, contentType: 'application/json', contentEncoding: 'none' });
    expect(await takeOne(subject, { ...ONE, maxRequests: 10 })).toBe(1);
    expect(await takeOne(subject, { ...ONE, maxRequests: 10 })).toBe(2);
  });

  it('drops the oldest when it is full, but never the one being sent nor the newest', async () => {
    const subject = create({ max_memory_bytes: 3 * KIB });
    await add(subject, 1, KIB);
    const sending = await subject.queue.take(ONE);
    for (const points of [2, 3, 4, 5, 6]) await add(subject, points, KIB);
    expect(subject.counts.dropped_).toEqual({ queue_full: 2 + 3 + 4 });
    subject.queue.putBack(sending ?? { entries: [] });
    expect(await takeAll(subject)).toEqual([1, 5, 6]);
    await add(subject, 7, 64 * KIB);
    expect(await takeAll(subject)).toEqual([7]);
    expect(missing(subject)).toBe(0);
  });

  it('drops what is too old, by a clock that does not jump', async () => {
    const clock = new ManualClock();
    const subject = create({ max_age: 60_000 }, clock);
    await add(subject, 1);
    await clock.advance(50_000);
    await add(subject, 2);
    clock.jumpWallClock(86_400_000);
    await clock.advance(10_001);
    expect(subject.queue.state.oldestAgeMs).toBe(60_001);
    expect(await takeAll(subject)).toEqual([2]);
    expect(subject.counts.dropped_).toEqual({ expired: 1 });
  });

  it('puts smaller requests into the place of one', async () => {
    const subject = create();
    for (const points of [5, 6]) await add(subject, points);
    const taken = await subject.queue.take(ONE);
    const part = (points: number) => ({
      body: Buffer.from('x'),
      points,
      rawBytes: 1,
      contentType: 'application/x-protobuf',
      contentEncoding: 'none' as const,
    });
    if (taken !== undefined) await subject.queue.replace(taken, [part(2), part(3)]);
    expect(subject.queue.state).toMatchObject({ points: 11, requests: 3 });
    expect(await takeAll(subject)).toEqual([2, 3, 6]);
    expect(subject.queue.state).toMatchObject({ points: 0, bytes: 0 });
  });

  it('counts what is left at the end', async () => {
    const subject = create();
    for (const points of [1, 2, 3]) await add(subject, points);
    await subject.queue.close();
    await add(subject, 4);
    expect(subject.counts.dropped_).toEqual({ shutdown: 10 });
    expect(missing(subject)).toBe(0);
  });
});

describe('RequestQueue on disk', () => {
  it('writes each request into a file of its own, whole and private, and removes it when it is done', async () => {
    const subject = create({ directory });
    await add(subject, 1);
    await add(subject, 2);
    expect(requestFiles()).toHaveLength(2);
    expect(statSync(join(directory, requestFiles()[0] ?? '')).mode & 0o777).toBe(0o600);
    expect(await takeAll(subject)).toEqual([1, 2]);
    expect(readdirSync(directory)).toEqual(['lock']);
    await subject.queue.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('goes on after a restart, and counts how much it found', async () => {
    const first = create({ directory });
    for (const points of [1, 2, 3, 4]) await add(first, points);
    expect(await takeOne(first)).toBe(1);
    await first.queue.close();
    expect(missing(first)).toBe(0);
    const second = create({ directory });
    await add(second, 5);
    expect(second.counts.recoveredPoints).toBe(9);
    expect(second.queue.state).toMatchObject({ points: 14, requests: 4, capacityBytes: OTLP_DEFAULTS.queue.max_bytes });
    expect(await takeAll(second)).toEqual([2, 3, 4, 5]);
    expect(missing(second)).toBe(0);
    await second.queue.close();
  });

  it('makes its folder and the parents for itself alone', async () => {
    const subject = create({ directory: join(directory, 'deep') });
    await durable(subject);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'deep')).mode & 0o777).toBe(0o700);
    await subject.queue.close();
  });

  it('drains a backlog that is larger than what it keeps in memory, in order', async () => {
    const subject = create({ directory });
    const expected = Array.from({ length: 200 }, (_, index) => index + 1);
    for (const points of expected) await add(subject, points, 50 * KIB);
    expect(subject.queue.state.bytes).toBeGreaterThan(200 * 50 * KIB);
    expect(await takeAll(subject)).toEqual(expected);
    expect(subject.queue.state.bytes).toBe(0);
    expect(missing(subject)).toBe(0);
    await subject.queue.close();
  });

  it('drops the oldest at its cap on disk, counts it, and goes on with the one being sent', async () => {
    const subject = create({ directory, max_bytes: 400 * KIB, max_memory_bytes: 64 * KIB });
    await add(subject, 1, 40 * KIB);
    const sending = await subject.queue.take(ONE);
    for (let points = 2; points <= 40; points += 1) await add(subject, points, 40 * KIB);
    expect(bytesOnDisk()).toBeLessThanOrEqual(400 * KIB);
    expect(subject.counts.dropped_).toEqual({ queue_full: sumOf(2, 33) });
    subject.queue.putBack(sending ?? { entries: [] });
    expect(await takeAll(subject)).toEqual([1, 33, 34, 35, 36, 37, 38, 39, 40]);
    expect(missing(subject)).toBe(0);
    await subject.queue.close();
  });

  it('keeps the file of a request that was divided until its last part is done', async () => {
    const subject = create({ directory });
    await add(subject, 5);
    const taken = await subject.queue.take(ONE);
    const part = (points: number) => ({
      body: Buffer.from('x'),
      points,
      rawBytes: 1,
      contentType: 'application/x-protobuf',
      contentEncoding: 'none' as const,
    });
    if (taken !== undefined) await subject.queue.replace(taken, [part(2), part(3)]);
    expect(await takeOne(subject)).toBe(2);
    expect(requestFiles()).toHaveLength(1);
    expect(await takeOne(subject)).toBe(3);
    expect(requestFiles()).toHaveLength(0);
    expect(subject.queue.state.bytes).toBe(0);
    await subject.queue.close();
  });

  describe('that is opened late', () => {
    it('loses nothing of the backlog that it finds while a request is on its way', async () => {
      const clock = new SteppingClock();
      const owner = create({ directory });
      for (const points of [1, 2, 3]) await add(owner, points);
      const second = create({ directory }, clock);
      void add(second, 4);
      await queueFailed(second);
      const onItsWay = await second.queue.take(ONE);
      expect(onItsWay?.points).toBe(4);
      await owner.queue.close();
      clock.offsetMs += 2000;
      await add(second, 5);
      await durable(second);
      if (onItsWay !== undefined) await second.queue.done(onItsWay);
      second.counts.sent(4);
      expect(await takeAll(second)).toEqual([1, 2, 3, 5]);
      expect(second.counts.dropped_).toEqual({});
      expect(second.counts.recoveredPoints).toBe(6);
      expect(missing(second)).toBe(0);
      await second.queue.close();
    });

    it('delivers an old backlog that appears with a late mount', async () => {
      await leaveBehind(20);
      const hidden = `${directory}-hidden`;
      renameSync(directory, hidden);
      writeFileSync(directory, 'in the way');
      const clock = new SteppingClock();
      const subject = create({ directory }, clock);
      void add(subject, 100);
      await queueFailed(subject);
      const onItsWay = await subject.queue.take(ONE);
      rmSync(directory);
      renameSync(hidden, directory);
      clock.offsetMs += 2000;
      await add(subject, 101);
      if (onItsWay !== undefined) subject.queue.putBack(onItsWay);
      expect(await takeAll(subject)).toEqual([...range(1, 21), 100, 101]);
      expect(subject.counts.dropped_).toEqual({});
      await subject.queue.close();
    });
  });

  describe('on a disk that fails', () => {
    it.each(['ENOSPC', 'EIO', 'EROFS', 'EDQUOT'])('goes on in memory while writing fails with %s, and returns to disk', async (code) => {
      const subject = create({ directory });
      await add(subject, 1);
      subject.files.fail(code, 'write');
      await add(subject, 2);
      await add(subject, 3);
      expect(subject.queue.state).toMatchObject({ points: 6, requests: 3, isDurable: false });
      subject.files.heal();
      await add(subject, 4);
      expect(subject.queue.state.isDurable).toBe(true);
      expect(subject.counts.durable).toBe(2);
      await subject.queue.close();
      const next = create({ directory });
      expect(await takeAll(next)).toEqual([1, 2, 3, 4]);
      expect(next.counts.recoveredPoints).toBe(10);
      await next.queue.close();
    });

    it('leaves no unfinished file behind when the rename fails, and none of a killed process', async () => {
      const subject = create({ directory });
      await durable(subject);
      subject.files.fail('EIO', 'rename');
      await add(subject, 1);
      subject.files.heal();
      await add(subject, 2);
      expect(await takeAll(subject)).toEqual([1, 2]);
      await subject.queue.close();
      await (async () => {
        const next = create({ directory });
        await durable(next);
        expect(readdirSync(directory)).toEqual(['lock']);
        await next.queue.close();
      })();
    });

    it('holds a bound in memory, and counts what gives way', async () => {
      const subject = create({ directory, max_memory_bytes: 3 * KIB });
      await durable(subject);
      subject.files.fail('ENOSPC', 'write');
      for (let points = 1; points <= 10; points += 1) await add(subject, points, KIB);
      expect(subject.queue.state.bytes).toBeLessThanOrEqual(3 * KIB);
      expect(subject.counts.dropped_).toEqual({ queue_full: sumOf(1, 8) });
      expect(await takeAll(subject)).toEqual([8, 9, 10]);
      await subject.queue.close();
    });

    it.each([
      { code: 'EROFS', operations: ['makeDirectory'] },
      { code: 'EACCES', operations: ['makeDirectory', 'list'] },
      { code: 'EMFILE', operations: ['list'] },
    ] as const)('delivers from memory when the folder cannot be opened ($code), and opens it later', async ({ code, operations }) => {
      const clock = new SteppingClock();
      const files = new FaultyFiles();
      files.fail(code, ...operations);
      const subject = create({ directory }, clock, files);
      await add(subject, 1);
      expect(await takeOne(subject)).toBe(1);
      await add(subject, 2);
      files.heal();
      clock.offsetMs += 2000;
      await add(subject, 3);
      expect(subject.queue.state.isDurable).toBe(true);
      expect(await takeAll(subject)).toEqual([2, 3]);
      await subject.queue.close();
      expect(readdirSync(directory)).toEqual([]);
    });

    it('sets a file aside that stays unreadable, rather than hold up what comes after it', async () => {
      await leaveBehind(1);
      const subject = create({ directory });
      await durable(subject);
      subject.files.fail('EIO', 'read');
      for (let attempt = 0; attempt < 5; attempt += 1) expect(await subject.queue.take(ONE)).toBeUndefined();
      subject.files.heal();
      await add(subject, 2);
      expect(await takeAll(subject)).toEqual([2]);
      expect(subject.counts.dropped_).toEqual({ corrupt: 1 });
      expect(readdirSync(directory)).toContainEqual(expect.stringMatching(/^000000000001\..*\.corrupt$/));
      await subject.queue.close();
    });

    it('waits while there are no descriptors to read with', async () => {
      await leaveBehind(1);
      const subject = create({ directory });
      await durable(subject);
      subject.files.fail('EMFILE', 'read');
      for (let attempt = 0; attempt < 20; attempt += 1) expect(await subject.queue.take(ONE)).toBeUndefined();
      subject.files.heal();
      expect(await takeAll(subject)).toEqual([1]);
      await subject.queue.close();
    });
  });

  describe('whose files were touched by others', () => {
    it('delivers every whole file of a folder, sets damaged ones aside and counts them', async () => {
      await leaveBehind(10);
      const [, second = '', third = '', fourth = '', fifth = ''] = requestFiles()
        .toSorted()
        .map((name) => join(directory, name));
      truncateSync(second, 20);
      const flipped = readFileSync(third);
      flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1);
      writeFileSync(third, flipped);
      writeFileSync(fourth, '');
      rmSync(fifth);
      const subject = create({ directory });
      expect(await takeAll(subject)).toEqual([1, 6, 7, 8, 9, 10]);
      expect(subject.counts.recoveredPoints).toBe(sumOf(1, 11) - 5);
      expect(subject.counts.dropped_).toEqual({ corrupt: 2 + 3 + 4 });
      expect(subject.counts.damages).toBe(3);
      expect(missing(subject)).toBe(0);
      await subject.queue.close();
    });

    it('keeps the newest four damaged files', async () => {
      await leaveBehind(10);
      for (const name of requestFiles()) truncateSync(join(directory, name), 10);
      const subject = create({ directory });
      expect(await takeAll(subject)).toEqual([]);
      await subject.queue.close();
      expect(readdirSync(directory).map((name) => name.slice(0, 12))).toEqual([
        '000000000007',
        '000000000008',
        '000000000009',
        '000000000010',
      ]);
    });

    it('steps over entries of other kinds that are named like its own', async () => {
      await leaveBehind(2);
      mkdirSync(join(directory, '000000000003.1.3.3.3.request'));
      symlinkSync('/dev/zero', join(directory, '000000000004.1.4.4.4.request'));
      execFileSync('mkfifo', [join(directory, '000000000005.1.5.5.5.request'), join(directory, '000000000006.unfinished')]);
      const subject = create({ directory });
      await add(subject, 7);
      expect(subject.counts.recoveredPoints).toBe(3);
      expect(await takeAll(subject)).toEqual([1, 2, 7]);
      expect(subject.counts.queueFailures).toEqual([]);
      await subject.queue.close();
      expect(readdirSync(directory)).toHaveLength(4);
    });

    it('counts a file that somebody removed while it waited', async () => {
      await leaveBehind(3);
      const subject = create({ directory });
      await durable(subject);
      rmSync(join(directory, requestFiles()[1] ?? ''));
      expect(await takeAll(subject)).toEqual([1, 3]);
      expect(subject.counts.dropped_).toEqual({ removed: 2 });
      expect(missing(subject)).toBe(0);
      await subject.queue.close();
    });

    it('does not read a file that was copied under another name', async () => {
      await leaveBehind(1);
      const [name = ''] = requestFiles();
      copyFileSync(join(directory, name), join(directory, name.replace('000000000001', '000000000002')));
      const subject = create({ directory });
      expect(await takeAll(subject)).toEqual([1]);
      expect(subject.counts.dropped_).toEqual({ corrupt: 1 });
      await subject.queue.close();
    });
  });

  describe('whose folder is removed', () => {
    it('makes it again with the next request, and writes what memory has', async () => {
      const subject = create({ directory });
      for (const points of [1, 2]) await add(subject, points);
      rmSync(directory, { recursive: true });
      await add(subject, 3);
      expect(subject.queue.state).toMatchObject({ isDurable: true, points: 6 });
      expect(requestFiles()).toHaveLength(3);
      expect(await takeAll(subject)).toEqual([1, 2, 3]);
      expect(missing(subject)).toBe(0);
      await subject.queue.close();
    });

    it('is not durable while the folder cannot be made again, and loses only what memory does not have', async () => {
      const clock = new SteppingClock();
      const subject = create({ directory }, clock);
      for (let points = 1; points <= 100; points += 1) await add(subject, points, 50 * KIB);
      rmSync(directory, { recursive: true });
      writeFileSync(directory, 'in the way');
      await add(subject, 101);
      expect(subject.queue.state.isDurable).toBe(false);
      const lost = subject.counts.dropped_.removed ?? 0;
      expect(lost).toBeGreaterThan(0);
      expect(missing(subject)).toBe(0);
      rmSync(directory);
      clock.offsetMs += 2000;
      await add(subject, 102);
      await durable(subject);
      const taken = await takeAll(subject);
      expect(taken.slice(0, 80)).toEqual(range(1, 81));
      expect(taken.slice(-2)).toEqual([101, 102]);
      expect(missing(subject)).toBe(0);
      await subject.queue.close();
    });

    it('is tried once a second at most where it can never be made, and the message has the remedy', async () => {
      const clock = new ManualClock();
      const subject = create({ directory: '/proc/1/queue' }, clock);
      await queueFailed(subject);
      for (let points = 1; points <= 20; points += 1) void add(subject, points);
      await vi.waitFor(() => expect(subject.counts.queueFailures).toHaveLength(1));
      expect(subject.counts.queueFailures[0]?.message).toMatch(
        /^queue\.directory \/proc\/1\/queue cannot be used: .*a folder that this user may write to/,
      );
      expect(subject.files.calls.get('makeDirectory')).toBe(1);
      const closed = subject.queue.close();
      await clock.advance(10_000);
      await closed;
      expect(missing(subject)).toBe(0);
    });
  });

  it('leaves the folder to the process that has it, and takes over when that one ends', async () => {
    const owner = create({ directory });
    await add(owner, 1);
    const clock = new SteppingClock();
    const second = create({ directory }, clock);
    await add(second, 2);
    expect(second.counts.queueFailures[0]?.message).toContain('it belongs to another process');
    expect(await takeAll(second)).toEqual([2]);
    await owner.queue.close();
    clock.offsetMs += 2000;
    await add(second, 3);
    expect(second.queue.state.isDurable).toBe(true);
    expect(await takeAll(second)).toEqual([1, 3]);
    await second.queue.close();
  });

  it('accounts for every point, whatever happens in whatever order', async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('add' as const), bytes: fc.integer({ min: 1, max: 60 * KIB }) }) },
      { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('take' as const, 'peek' as const) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constantFrom('break' as const, 'heal' as const, 'pause' as const, 'restart' as const, 'rm' as const),
        }),
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
          if (one.kind === 'add') void add(subject, (name += 1), one.bytes);
          else if (one.kind === 'take') last = increasing(last, await takeOne(subject));
          else if (one.kind === 'peek') subject.queue.putBack((await subject.queue.take(ONE)) ?? { entries: [] });
          else if (one.kind === 'break') subject.files.fail('ENOSPC', 'write', 'rename');
          else if (one.kind === 'heal') subject.files.heal();
          else if (one.kind === 'pause') await nextTurn();
          else if (one.kind === 'rm') rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
          else {
            await subject.queue.close();
            expect(missing(subject)).toBe(0);
            subject = create(limits);
            await durable(subject);
          }
          expect(missing(subject)).toBe(0);
        }
        subject.files.heal();
        for (const points of await takeAll(subject)) last = increasing(last, points);
        expect(missing(subject)).toBe(0);
        expect(subject.queue.state).toMatchObject({ requests: 0, points: 0, bytes: 0 });
        await subject.queue.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

/** Real time, and more when a test adds to it. */
class SteppingClock implements Clock {
  offsetMs = 0;
  readonly nowMs = (): number => systemClock.nowMs() + this.offsetMs;
  readonly monotonicMs = (): number => systemClock.monotonicMs() + this.offsetMs;
  readonly setTimer: Clock['setTimer'] = (...timer) => systemClock.setTimer(...timer);
}

function bytesOnDisk(): number {
  return requestFiles().reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** Sum of the numbers from `from` to the one before `to`. */
function sumOf(from: number, to: number): number {
  return range(from, to).reduce((sum, number) => sum + number, 0);
}

function increasing(before: number, points: number | undefined): number {
  if (points === undefined) return before;
  expect(points).toBeGreaterThan(before);
  return points;
}
