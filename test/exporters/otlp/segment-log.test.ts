import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../exporters/otlp/file-system.ts';
import type { OtlpRequest } from '../../../exporters/otlp/record.ts';
import { SegmentLog } from '../../../exporters/otlp/segment-log.ts';
import type { StoredRequest } from '../../../exporters/otlp/segment-log.ts';

const KIB = 1024;

let directory = '';
let events: unknown[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'segment-log-'));
  events = [];
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function openLog(maxBytes = 400 * KIB): Promise<SegmentLog> {
  return SegmentLog.open({
    directory,
    maxBytes,
    files: nodeFileSystem,
    observer: {
      lost: (_segment, requests, points, reason) => events.push({ lost: requests, points, reason }),
      damaged: (_file, places) => events.push({ damaged: places }),
      troubled: (error) => events.push({ troubled: String(error) }),
    },
  });
}

function request(index: number, bytes = 100): OtlpRequest {
  return {
    body: Buffer.alloc(bytes, `${index},`),
    points: index,
    contentType: 'application/x-protobuf',
    contentEncoding: 'none',
    enqueuedAtMs: index,
  };
}

async function fill(log: SegmentLog, from: number, to: number, bytes = 100): Promise<void> {
  for (let index = from; index < to; index += 1) await log.append(request(index, bytes));
}

async function takeAll(log: SegmentLog): Promise<number[]> {
  const taken: number[] = [];
  for (let stored = await log.peek(); stored !== undefined; stored = await log.peek()) {
    taken.push(stored.request.points);
    await log.advance(stored);
  }
  return taken;
}

async function take(log: SegmentLog, count: number): Promise<number[]> {
  const taken: number[] = [];
  for (let left = count; left > 0; left -= 1) {
    const stored = (await log.peek()) as StoredRequest;
    taken.push(stored.request.points);
    await log.advance(stored);
  }
  return taken;
}

function segmentFiles(): string[] {
  return readdirSync(directory).filter((name) => name.endsWith('.otlp'));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

describe('SegmentLog', () => {
  it('gives back what was appended, in order', async () => {
    const log = await openLog();
    await fill(log, 1, 11);
    expect(await log.peek()).toMatchObject({ request: request(1) });
    expect(await takeAll(log)).toEqual(range(1, 11));
    expect(log.isEmpty).toBe(true);
    await log.close();
  });

  it('goes on after a restart where it stopped', async () => {
    const first = await openLog();
    await fill(first, 1, 11);
    await take(first, 4);
    await first.close();
    const second = await openLog();
    expect(second.waiting).toEqual({ requests: 6, points: 5 + 6 + 7 + 8 + 9 + 10 });
    await fill(second, 11, 14);
    expect(await takeAll(second)).toEqual(range(5, 14));
    await second.close();
    expect(events).toEqual([]);
  });

  it('does not mistake what is written after a clean end for what was delivered before', async () => {
    for (let life = 0; life < 4; life += 1) {
      const log = await openLog();
      await fill(log, life * 10, life * 10 + 5);
      expect(await takeAll(log)).toEqual(range(life * 10, life * 10 + 5));
      await log.close();
      expect(segmentFiles()).toEqual([]);
    }
  });

  it('needs no close: everything appended is there after a kill', async () => {
    const killed = await openLog();
    await fill(killed, 1, 6);
    await take(killed, 2);
    const next = await openLog();
    expect(await takeAll(next)).toEqual([3, 4, 5]);
    await next.close();
    await killed.close();
  });

  it('spreads over files and removes those that were delivered', async () => {
    const log = await openLog(400 * KIB);
    await fill(log, 0, 30, 10 * KIB);
    expect(segmentFiles()).toHaveLength(4);
    expect(await take(log, 25)).toEqual(range(0, 25));
    expect(segmentFiles()).toHaveLength(2);
    await log.close();
  });

  it('drops the oldest file when there is no room, and counts what it held', async () => {
    const log = await openLog(400 * KIB);
    await fill(log, 1, 51, 10 * KIB);
    expect(log.bytes).toBeLessThanOrEqual(400 * KIB);
    const lost = events as { lost: number; points: number; reason: string }[];
    expect(new Set(lost.map(({ reason }) => reason))).toEqual(new Set(['queue_full']));
    const left = await takeAll(log);
    expect(left).toEqual(
      range(
        lost.reduce((sum, one) => sum + one.lost, 1),
        51,
      ),
    );
    expect(lost.reduce((sum, { points }) => sum + points, 0) + left.reduce((sum, points) => sum + points, 0)).toBe((50 * 51) / 2);
    await log.close();
  });

  it('takes a request that is larger than a file usually is', async () => {
    const log = await openLog(400 * KIB);
    await log.append(request(1, 300 * KIB));
    await log.append(request(2));
    expect(await takeAll(log)).toEqual([1, 2]);
    await log.close();
  });

  it('skips what is damaged, counts it, and sets the file aside', async () => {
    const first = await openLog();
    await fill(first, 1, 6);
    await first.close();
    const [name] = segmentFiles();
    const path = join(directory, name ?? '');
    const bytes = readFileSync(path);
    bytes.writeUInt8(0, 2 * 128 + 60);
    writeFileSync(path, bytes);
    const second = await openLog();
    expect(second.waiting).toEqual({ requests: 4, points: 1 + 2 + 4 + 5 });
    expect(events).toEqual([{ damaged: 1 }]);
    await second.append(request(6));
    expect(await takeAll(second)).toEqual([1, 2, 4, 5, 6]);
    expect(events).toEqual([{ damaged: 1 }]);
    await second.close();
    expect(new Set(readdirSync(directory))).toEqual(new Set([name?.replace('.otlp', '.corrupt'), 'cursor']));
  });

  it('counts as lost what was damaged after it was counted as waiting', async () => {
    const log = await openLog();
    await fill(log, 1, 6);
    const path = join(directory, segmentFiles()[0] ?? '');
    const bytes = readFileSync(path);
    bytes.fill(0, 3 * 128);
    writeFileSync(path, bytes);
    expect(await takeAll(log)).toEqual([1, 2, 3]);
    expect(events).toEqual([{ damaged: 1 }, { lost: 2, points: 9, reason: 'corrupt' }]);
    await log.append(request(6));
    expect(await takeAll(log)).toEqual([6]);
    await log.close();
  });

  it('takes a record that a crash cut off for what it is', async () => {
    const first = await openLog();
    await fill(first, 1, 4);
    await first.close();
    const path = join(directory, segmentFiles()[0] ?? '');
    writeFileSync(path, readFileSync(path).subarray(0, -1));
    const second = await openLog();
    expect(await takeAll(second)).toEqual([1, 2]);
    expect(events).toEqual([{ damaged: 1 }]);
    await second.append(request(9));
    expect(await takeAll(second)).toEqual([9]);
    await second.close();
    expect(readdirSync(directory)).toEqual(['cursor']);
  });

  it('keeps only the newest files that were set aside', async () => {
    for (let index = 0; index < 7; index += 1) {
      const log = await openLog();
      await log.append(request(index));
      await log.close();
      const path = join(directory, segmentFiles()[0] ?? '');
      writeFileSync(path, Buffer.alloc(200, 'garbage'));
      await (await openLog()).close();
    }
    const setAside = readdirSync(directory).filter((name) => name.endsWith('.corrupt'));
    expect(setAside).toEqual(['000000000004.corrupt', '000000000005.corrupt', '000000000006.corrupt', '000000000007.corrupt']);
  });

  it.each([
    { name: 'is gone', bytes: undefined },
    { name: 'is empty', bytes: Buffer.alloc(0) },
    { name: 'is garbage', bytes: Buffer.alloc(64, 'x') },
  ])('repeats rather than loses when the cursor $name', async ({ bytes }) => {
    const first = await openLog();
    await fill(first, 1, 5);
    await take(first, 2);
    await first.close();
    rmSync(join(directory, 'cursor'));
    if (bytes !== undefined) writeFileSync(join(directory, 'cursor'), bytes);
    const second = await openLog();
    expect(await takeAll(second)).toEqual([1, 2, 3, 4]);
    await second.close();
  });

  it('falls back to the cursor written before when the last one is torn', async () => {
    const first = await openLog();
    await fill(first, 1, 6);
    await take(first, 3);
    await first.close();
    const path = join(directory, 'cursor');
    const bytes = readFileSync(path);
    // The third of three went into the second slot.
    bytes.fill(0xff, 40, 64);
    writeFileSync(path, bytes);
    const second = await openLog();
    expect(await takeAll(second)).toEqual([3, 4, 5]);
    await second.close();
  });

  it('never crashes on damage and never gives back what was not appended, wherever a file is cut off or flipped', async () => {
    const first = await openLog();
    await fill(first, 1, 4, 8);
    await first.close();
    const [name = ''] = segmentFiles();
    const path = join(directory, name);
    const original = readFileSync(path);
    for (let at = 0; at < original.length; at += 1) {
      const flipped = Buffer.from(original);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 0x55, at);
      for (const bytes of [original.subarray(0, at), flipped]) {
        for (const file of readdirSync(directory)) rmSync(join(directory, file));
        writeFileSync(path, bytes);
        const log = await openLog();
        const taken = await takeAll(log);
        await log.close();
        const isCut = bytes.length < original.length;
        const record = Math.floor(at / 36) + 1;
        expect(taken).toEqual(isCut ? range(1, record) : [1, 2, 3].filter((index) => index !== record));
      }
    }
  });

  it('keeps files to itself', async () => {
    const log = await openLog();
    await log.append(request(1));
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
    await log.close();
  });

  it('lets nothing through a link in place of its files', async () => {
    const victim = join(directory, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(directory, 'cursor'));
    await expect(openLog()).rejects.toMatchObject({ code: 'ELOOP' });
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });
});
