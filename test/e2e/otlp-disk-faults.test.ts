/** The OTLP queue on a disk that fails: real system calls of an unmodified process, made to fail by strace. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MisbehavingOtlpServer } from '../support/misbehaving-otlp-server.ts';
import { decodePoints } from '../support/otlp-decode.ts';
import { Producer } from './support/otlp-producer.ts';
import { peerPath } from '../../scripts/peers.ts';

const PERIODS = 60;
const POINTS = 20;

let directory = '';
let server: MisbehavingOtlpServer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'otlp-faults-'));
  server = await MisbehavingOtlpServer.start();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

/** Runs the producer; the receiver refuses everything until all batches were exported, so that all have to wait. */
async function produceUnder(inject: string) {
  server.behave = () => ({ kind: 'respond', status: 503 });
  const queue = join(directory, 'queue');
  const files = Array.from({ length: 2 * PERIODS }, (_, index) => `${String(index + 1).padStart(12, '0')}.unfinished`);
  // Only calls on the queue's own files fail.
  const paths = files.flatMap((name) => ['-P', join(queue, name)]);
  const trace = join(directory, 'trace');
  const strace = [peerPath('strace'), '-f', '-qqq', '-o', trace, ...paths, '-e', inject];
  const child = new Producer(
    {
      destinations: [{ id: 'otlp', endpoint: server.url, compression: 'none', timeout: 2000, queue: { directory: queue } }],
      periodMs: 20,
      points: POINTS,
      from: 0,
      periods: PERIODS,
      flushMs: 30_000,
    },
    strace,
  );
  await child.exported(PERIODS - 1);
  server.behave = () => ({ kind: 'respond', status: 200 });
  await child.ended();
  // A request may hold several batches.
  const values = server.accepted.flatMap(({ body }) => decodePoints(body).map(({ value }) => value));
  const batches = values.filter((_, index) => index % POINTS === 0);
  const injected = readFileSync(trace, 'utf8').match(/\(INJECTED\)/g)?.length ?? 0;
  return { batches, books: child.books?.[0], injected };
}

describe('a failing disk', () => {
  // strace counts the calls of each thread for itself. libuv has no name for EDQUOT.
  it.each([
    { fault: 'full', told: 'ENOSPC', inject: 'inject=write:error=ENOSPC:when=3..8' },
    { fault: 'broken', told: 'EIO', inject: 'inject=write:error=EIO:when=3..8' },
    { fault: 'over its quota', told: 'system error -122', inject: 'inject=write,openat:error=EDQUOT:when=3..8' },
    { fault: 'read-only', told: 'EROFS', inject: 'inject=write,openat:error=EROFS:when=3..12' },
    { fault: 'out of file descriptors', told: 'EMFILE', inject: 'inject=openat:error=EMFILE:when=1' },
    { fault: 'failing to sync', told: 'EIO', inject: 'inject=fdatasync:error=EIO:when=1' },
  ])('that is $fault costs no point and no order: $told', { timeout: 120_000 }, async ({ told, inject }) => {
    const { batches, books, injected } = await produceUnder(inject);
    expect(injected).toBeGreaterThan(0);
    expect(books?.queueFailures).toContainEqual(expect.stringContaining(told));
    expect(books?.queueFailures.filter((trouble) => !trouble.includes(told))).toEqual([]);
    expect(batches).toEqual(Array.from({ length: PERIODS }, (_, index) => index));
    expect(books).toMatchObject({ produced: PERIODS * POINTS, sent: PERIODS * POINTS, dropped: {}, queued: 0 });
  });
});
