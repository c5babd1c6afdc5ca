/**
 * What the OTLP exporter promises about delivery, against a misbehaving receiver and with real processes and files. The numbers are
 * scaled down so that the file takes a few minutes; `OTLP_PROOF=full` takes them all: 3,600 periods of outage, 60 s of random
 * failures, 200 kills.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createOtlpExporter } from '../../exporters/otlp/index.ts';
import { otlpSettings } from '../support/settings.ts';
import { gauge, point, resourceMetrics } from '../exporters/otlp/batches.ts';
import { MisbehavingOtlpServer } from '../support/misbehaving-otlp-server.ts';
import type { Behaviour, ReceivedRequest } from '../support/misbehaving-otlp-server.ts';
import { decodeValues } from '../support/otlp-decode.ts';
import type { ProducerOptions } from '../support/otlp-producer.ts';
import { Producer } from './support/otlp-producer.ts';

const isFull = process.env['OTLP_PROOF'] === 'full';
const OUTAGE_PERIODS = isFull ? 3600 : 400;
const FAILING_SECONDS = isFull ? 60 : 15;
const KILLS = isFull ? 200 : 30;
const COMPARED_BATCHES = isFull ? 2000 : 400;
/** What two runs on a busy machine differ by anyway. */
const NOISE_MS = 10;

let directory = '';
let server: MisbehavingOtlpServer;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'otlp-delivery-'));
  server = await MisbehavingOtlpServer.start();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

/** Batches in the order of their arrival; whole ones only, each with all its points. */
class Arrivals {
  readonly batches: number[] = [];
  /** Requests with a batch that had arrived before. */
  repeatedRequests = 0;
  readonly #points: number;

  constructor(points: number) {
    this.#points = points;
  }

  /** A request holds one batch, or several that waited behind one another. */
  add({ body }: ReceivedRequest): void {
    const values = decodeValues(body);
    const known = new Set(this.batches);
    const arrived: number[] = [];
    for (let from = 0; from < values.length; from += this.#points) {
      const batch = values.slice(from, from + this.#points);
      if (batch.length !== this.#points || new Set(batch).size !== 1) throw new Error(`torn batch: ${batch.length} points`);
      arrived.push(batch[0] ?? Number.NaN);
    }
    if (arrived.some((batch) => known.has(batch))) this.repeatedRequests += 1;
    this.batches.push(...arrived);
  }

  get distinct(): number {
    return new Set(this.batches).size;
  }

  /** Batches that came more than once. */
  get duplicates(): number {
    return this.batches.length - this.distinct;
  }

  /** Places where a batch came after a newer one. */
  get reversals(): number {
    return this.batches.filter((batch, index) => batch < (this.batches[index - 1] ?? batch)).length;
  }
}

function producer(overrides: Partial<ProducerOptions>): ProducerOptions {
  return {
    destinations: [
      { id: 'otlp', endpoint: server.url, compression: 'none', timeout: 2000, queue: { directory: join(directory, 'queue') } },
    ],
    periodMs: 100,
    points: 100,
    from: 0,
    periods: 1_000_000,
    flushMs: 60_000,
    ...overrides,
  };
}

describe('delivery', () => {
  it(
    `loses nothing in an outage of ${OUTAGE_PERIODS} periods that refuses, resets, swallows and answers 503`,
    { timeout: 900_000 },
    async () => {
      const warmUp = OUTAGE_PERIODS / 2;
      const points = 1000;
      const arrivals = new Arrivals(points);
      server.onAccepted = (request) => arrivals.add(request);
      const child = new Producer(producer({ points, periods: warmUp + OUTAGE_PERIODS + 100 }));
      // A young process grows; what counts is how much more an outage takes than a healthy receiver.
      const residentBefore = await mostResident(child, warmUp);
      const received = arrivals.batches.length;
      let residentMost = 0;
      const quarters: readonly (Behaviour | 'refuse')[] = [
        'refuse',
        { kind: 'reset' },
        { kind: 'blackhole' },
        { kind: 'respond', status: 503 },
      ];
      for (const [index, behaviour] of quarters.entries()) {
        if (behaviour === 'refuse') await server.refuse();
        else server.behave = () => behaviour;
        if (index === 1) await server.listen();
        residentMost = Math.max(residentMost, await mostResident(child, warmUp + (OUTAGE_PERIODS * (index + 1)) / 4));
      }
      expect(arrivals.batches.length - received).toBeLessThanOrEqual(1);
      server.behave = () => ({ kind: 'respond', status: 200 });
      const first = arrivals.batches.length;
      while (arrivals.batches.length === first) await new Promise((resolve) => setTimeout(resolve, 10));
      const drainedFromMs = performance.now();
      while (arrivals.distinct <= child.lastExported) await new Promise((resolve) => setTimeout(resolve, 10));
      const drainedMs = performance.now() - drainedFromMs;
      await child.ended();
      const speed = (OUTAGE_PERIODS * 100) / drainedMs;
      console.log(
        `outage: ${OUTAGE_PERIODS} periods, drained at ${speed.toFixed(0)}x real time, resident ${residentBefore.toFixed(0)} to ${residentMost.toFixed(0)} MiB, ` +
          `${arrivals.duplicates} duplicates, ${child.books?.[0]?.failures} failed attempts`,
      );
      expect(arrivals.distinct).toBe(warmUp + OUTAGE_PERIODS + 100);
      expect(arrivals.duplicates).toBeLessThanOrEqual(1);
      expect(arrivals.reversals).toBe(0);
      expect(speed).toBeGreaterThanOrEqual(10);
      expect(residentMost - residentBefore).toBeLessThanOrEqual(10);
      expect(child.books?.[0]).toMatchObject({ dropped: {}, queued: 0, queueFailures: [], sent: child.books?.[0]?.produced });
    },
  );

  it(`delivers 10,000 points a second although 70 % of all attempts fail, for ${FAILING_SECONDS} s`, { timeout: 300_000 }, async () => {
    const points = 10_000;
    const arrivals = new Arrivals(points);
    server.onAccepted = (request) => arrivals.add(request);
    const random = sequence(42);
    server.behave = () =>
      random() < 0.7
        ? { kind: 'respond', status: [429, 502, 503, 504][Math.floor(random() * 4)] ?? 503 }
        : { kind: 'respond', status: 200 };
    const child = new Producer(producer({ points, periodMs: 1000, periods: FAILING_SECONDS, flushMs: 10_000 }));
    await child.ended();
    console.log(`70 % failures: ${child.books?.[0]?.failures} failed attempts for ${arrivals.batches.length} batches`);
    expect(child.books?.[0]).toMatchObject({ produced: FAILING_SECONDS * points, sent: FAILING_SECONDS * points, dropped: {}, queued: 0 });
    expect(arrivals.batches).toEqual(Array.from({ length: FAILING_SECONDS }, (_, index) => index));
  });

  it(
    `has everything within 10 s of the end when a period is short and 70 % of all attempts are refused`,
    { timeout: 300_000 },
    async () => {
      const points = 1290;
      const periods = FAILING_SECONDS * 10;
      const arrivals = new Arrivals(points);
      server.onAccepted = (request) => arrivals.add(request);
      const random = sequence(11);
      server.behave = () => ({ kind: 'respond', status: random() < 0.7 ? 503 : 200 });
      const destination = { id: 'otlp', endpoint: server.url, compression: 'gzip', timeout: 2000 } as const;
      const child = new Producer(producer({ destinations: [destination], points, periodMs: 100, periods, flushMs: 10_000 }));
      await child.ended();
      expect(child.books?.[0]).toMatchObject({ sent: periods * points, dropped: {}, queued: 0 });
      expect(arrivals.batches).toEqual(Array.from({ length: periods }, (_, index) => index));
    },
  );

  it(
    `loses at most the period under way to each of ${KILLS} kills at random moments, and repeats at most one request`,
    { timeout: 900_000 },
    async () => {
      const points = 50;
      const arrivals = new Arrivals(points);
      server.onAccepted = (request) => arrivals.add(request);
      const random = sequence(7);
      server.behave = () => (random() < 0.5 ? { kind: 'respond', status: 503 } : { kind: 'respond', status: 200 });
      const lives: { readonly from: number; readonly last: number }[] = [];
      const startsMs: number[] = [];
      let from = 0;
      for (let kill = 0; kill < KILLS; kill += 1) {
        const child = new Producer(producer({ points, from, periodMs: 5 }));
        await child.exported(from);
        await new Promise((resolve) => setTimeout(resolve, random() * 300));
        await child.kill('SIGKILL');
        lives.push({ from, last: child.lastExported });
        startsMs.push(child.firstExportMs ?? Number.POSITIVE_INFINITY);
        // The batch after the last reported one may have been taken over, too.
        from = child.lastExported + 2;
      }
      server.behave = () => ({ kind: 'respond', status: 200 });
      const last = new Producer(producer({ points, from, periods: 5 }));
      await last.ended();
      const arrived = new Set(arrivals.batches);
      const lost = lives.map((life) => missing(arrived, life.from, life.last));
      const medianMs = startsMs.toSorted((a, b) => a - b)[Math.floor(KILLS / 2)] ?? Number.NaN;
      console.log(
        `${KILLS} kills: ${lost.reduce((sum, count) => sum + count, 0)} periods lost, ${arrivals.repeatedRequests} requests repeated, first export after ${medianMs.toFixed(0)} ms (median)`,
      );
      expect(Math.max(...lost)).toBeLessThanOrEqual(1);
      expect(arrivals.repeatedRequests).toBeLessThanOrEqual(KILLS);
      expect(arrivals.reversals).toBeLessThanOrEqual(arrivals.duplicates);
      // Node starting and loading TypeScript is most of it, and slow on a busy machine.
      expect(medianMs).toBeLessThanOrEqual(isFull ? 1000 : 5000);
      expect(last.books?.[0]).toMatchObject({ dropped: {}, queued: 0 });
      expect(readdirSync(join(directory, 'queue')).filter((name) => name.endsWith('.corrupt'))).toEqual([]);
    },
  );

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'loses nothing when two processes overlap on one folder without a receiver, and the first one ends with %s',
    { timeout: 120_000 },
    async (signal) => {
      const points = 20;
      const arrivals = new Arrivals(points);
      server.onAccepted = (request) => arrivals.add(request);
      await server.refuse();
      const first = new Producer(producer({ points, from: 0, flushMs: 0 }));
      await first.exported(20);
      const second = new Producer(producer({ points, from: 1000, periods: 60 }));
      await second.exported(1005);
      await first.kill(signal);
      // The second one takes the folder over with one of its next requests.
      await second.exported(1040);
      await server.listen();
      await second.ended();
      const arrived = new Set(arrivals.batches);
      // The batch under way when the first one was killed may be missing.
      expect(missing(arrived, 0, first.lastExported - 1)).toBe(0);
      expect(missing(arrived, 1000, 1059)).toBe(0);
      expect(second.books?.[0]).toMatchObject({ dropped: {}, queued: 0 });
      expect(second.books?.[0]?.recovered).toBeGreaterThanOrEqual(20 * points);
    },
  );

  it('delivers to one destination as fast while the other one is dead as while it is alive', { timeout: 300_000 }, async () => {
    await using living = await MisbehavingOtlpServer.start();
    await using dead = await MisbehavingOtlpServer.start();
    living.onAccepted = () => {};
    dead.behave = () => ({ kind: 'blackhole' });
    await using both = await startPair(server.url, living.url);
    await using half = await startPair(server.url, dead.url);
    const latencies = { both: [] as number[], half: [] as number[] };
    const batch = { resourceMetrics: manyPoints(1000) };
    for (let round = 0; round < 2 * COMPARED_BATCHES; round += 1) {
      const name = Math.floor(round / 50) % 2 === 0 ? 'both' : 'half';
      const arrived = Promise.withResolvers<void>();
      server.onAccepted = () => arrived.resolve();
      const startedMs = performance.now();
      const { exporters } = name === 'both' ? both : half;
      void Promise.all(exporters.map((exporter) => exporter.export(batch)));
      await arrived.promise;
      latencies[name].push(performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [p99Both, p99Half] = [percentile(latencies.both, 0.99), percentile(latencies.half, 0.99)];
    console.log(`one dead of two: p99 ${p99Half.toFixed(1)} ms, ${p99Both.toFixed(1)} ms with both alive`);
    // Being held up would be seconds.
    expect(p99Half).toBeLessThanOrEqual(p99Both * 1.05 + NOISE_MS);
  });
});

/** Exporters in this process, with queues in memory. */
async function startPair(...endpoints: readonly string[]) {
  const exporters = await Promise.all(endpoints.map((endpoint) => createOtlpExporter(otlpSettings({ endpoint }), { id: endpoint })));
  return {
    exporters,
    async [Symbol.asyncDispose]() {
      await Promise.all(exporters.map((exporter) => exporter[Symbol.asyncDispose]()));
    },
  };
}

function manyPoints(count: number) {
  return [
    resourceMetrics({}, [
      gauge(
        'period',
        Array.from({ length: count }, (_, index) => point(index, { series: `s${index}` })),
      ),
    ]),
  ];
}

function percentile(samples: readonly number[], quantile: number): number {
  return samples.toSorted((a, b) => a - b)[Math.floor((samples.length - 1) * quantile)] ?? Number.NaN;
}

/** Largest resident memory, MiB, until a batch was exported. */
async function mostResident(child: Producer, batch: number): Promise<number> {
  let most = child.residentMib();
  while (child.lastExported < batch) {
    await child.exported(Math.min(batch, child.lastExported + 10));
    most = Math.max(most, child.residentMib());
  }
  return most;
}

function missing(arrived: ReadonlySet<number>, from: number, to: number): number {
  let count = 0;
  for (let batch = from; batch <= to; batch += 1) if (!arrived.has(batch)) count += 1;
  return count;
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
