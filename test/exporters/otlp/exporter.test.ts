import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createOtlpExporter } from '../../../exporters/otlp/index.ts';
import type { OtlpServices } from '../../../exporters/otlp/index.ts';
import { otlpJson } from '../../../exporters/otlp/json.ts';
import { otlpSettings } from '../../support/settings.ts';
import type { SomeOtlpSettings } from '../../support/settings.ts';
import { Secret } from '../../../src/secret.ts';
import { MisbehavingGrpcServer } from '../../support/misbehaving-grpc-server.ts';
import { MisbehavingOtlpServer } from '../../support/misbehaving-otlp-server.ts';
import { decodePoints } from '../../support/otlp-decode.ts';
import { counter, everyKind, gauge, point, resourceMetrics } from './batches.ts';
import { EventCounts } from '../delivery/event-counts.ts';

const FAST = { initialMs: 2, maxAnsweredMs: 20, maxMs: 20, factor: 1.3 };

let directory = '';
const open: AsyncDisposable[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'otlp-exporter-'));
});

afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

async function startServer(): Promise<MisbehavingOtlpServer> {
  const server = await MisbehavingOtlpServer.start();
  open.push(server);
  return server;
}

async function create(endpoint: string, settings: Partial<SomeOtlpSettings> = {}, services: OtlpServices = {}) {
  const counts = new EventCounts();
  const exporter = await createOtlpExporter(otlpSettings({ endpoint, timeout: 2000, ...settings }), {
    telemetry: counts,
    backoff: FAST,
    ...services,
  });
  open.push(exporter);
  return { exporter, counts };
}

/** One series whose value is the number of the period. */
function period(value: number): ResourceMetrics[] {
  return [resourceMetrics({ host: 'a' }, [gauge('period', [point(value, { series: 'a' }), point(value, { series: 'b' })])])];
}

function valuesOf(server: MisbehavingOtlpServer, series: string): number[] {
  return server.accepted
    .flatMap(({ body }) => decodePoints(body))
    .filter((one) => one.series === `series=${series}`)
    .map(({ value }) => value);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

async function delivered(counts: EventCounts, points: number): Promise<void> {
  await vi.waitFor(() => expect(counts.sentPoints).toBe(points), { timeout: 10_000 });
}

/** A flush lifts the limit on draining, which would make the test slow. */
async function flushed({ exporter, counts }: Awaited<ReturnType<typeof create>>, points: number): Promise<void> {
  await vi.waitFor(
    async () => {
      await exporter.flush(5000);
      expect(counts.sentPoints).toBe(points);
    },
    { timeout: 20_000 },
  );
}

describe('createOtlpExporter', () => {
  it('sends every resource of a batch in one request', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url);
    expect(await exporter.export({ resourceMetrics: everyKind() })).toEqual({ outcome: 'sent', points: 13 });
    await delivered(counts, 13);
    expect(server.accepted).toHaveLength(1);
    expect(server.accepted[0]?.path).toBe('/v1/metrics');
    expect(counts.missing(exporter.queueState.points)).toBe(0);
  });

  it('has taken what it needs when export returns, before it is awaited', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url, { compression: 'gzip' });
    const live = { ...point(1, { series: 'a' }) };
    const outcome = exporter.export({ resourceMetrics: [resourceMetrics({}, [gauge('live', [live])])] });
    live.value = 2;
    await outcome;
    await delivered(counts, 1);
    expect(valuesOf(server, 'a')).toEqual([1]);
  });

  it.each(['none', 'gzip', 'zstd'] as const)('keeps the order of batches with compression %s', async (compression) => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url, { compression });
    for (let index = 0; index < 50; index += 1) void exporter.export({ resourceMetrics: period(index) });
    await delivered(counts, 100);
    expect(valuesOf(server, 'a')).toEqual(range(0, 50));
    const encodings = new Set(server.accepted.map(({ headers }) => headers['content-encoding']));
    expect([...encodings]).toEqual([compression === 'none' ? undefined : compression]);
  });

  it('sends JSON', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url, { protocol: 'http/json' });
    await exporter.export({ resourceMetrics: everyKind() });
    await delivered(counts, 13);
    expect(server.accepted[0]?.headers['content-type']).toBe('application/json');
    expect(server.accepted[0]?.body).toEqual(otlpJson(everyKind()));
  });

  it('sends gRPC', async () => {
    const server = await MisbehavingGrpcServer.start();
    open.push(server);
    const { exporter, counts } = await create(server.url, { protocol: 'grpc', compression: 'gzip' });
    await exporter.export({ resourceMetrics: period(7) });
    await delivered(counts, 2);
    expect(decodePoints(server.calls[0]?.message ?? Buffer.alloc(0)).map(({ value }) => value)).toEqual([7, 7]);
  });

  it('splits a batch, and counts points that no request can hold', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url, { batch: { max_points: 4, max_bytes: 4096 } });
    const points = [...range(0, 9).map((value) => point(value, { series: 'a' })), point(9, { series: 'x'.repeat(5000) })];
    await exporter.export({ resourceMetrics: [resourceMetrics({}, [gauge('many', points)])] });
    await delivered(counts, 9);
    expect(server.accepted.map(({ body }) => decodePoints(body).length)).toEqual([4, 4, 1]);
    expect(counts.dropped_).toEqual({ oversized: 1 });
    expect(counts.missing(0)).toBe(0);
  });

  it('sends nothing for a batch without points', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url);
    expect(await exporter.export({ resourceMetrics: [resourceMetrics({ host: 'a' }, [])] })).toEqual({ outcome: 'sent', points: 0 });
    await exporter.export({ resourceMetrics: [resourceMetrics({ host: 'a' }, []), ...period(1)] });
    await delivered(counts, 2);
    expect(server.attempts).toBe(1);
  });

  it('sends differences where they are asked for', async () => {
    const server = await startServer();
    const now = Math.floor(Date.now() / 1000);
    const { exporter, counts } = await create(server.url, { temporality: 'delta', protocol: 'http/json' });
    const total = { ...point(5, { core: 0 }, [now + 10, 0], [now + 5, 0]) };
    const batch = [resourceMetrics({}, [counter('executions', [total])])];
    await exporter.export({ resourceMetrics: batch });
    Object.assign(total, { value: 12, endTime: [now + 20, 0] });
    await exporter.export({ resourceMetrics: batch });
    await exporter.export({ resourceMetrics: batch });
    await delivered(counts, 2);
    const text = server.accepted.map(({ body }) => body.toString()).join('\n');
    expect([...text.matchAll(/"asInt":(\d+)/g)].map(([, value]) => value)).toEqual(['5', '7']);
    expect([...text.matchAll(/"aggregationTemporality":(\d)/g)].map(([, value]) => value)).toEqual(['1', '1']);
  });

  it('turns a bug in the data into a counted loss', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url);
    const broken = { ...gauge('broken', [point(1)]), dataPointType: 99 } as unknown as MetricData;
    const outcome = await exporter.export({ resourceMetrics: [resourceMetrics({}, [broken])] });
    expect(outcome).toMatchObject({ outcome: 'failed', points: 1, error: { code: 'internal' } });
    expect(counts.dropped_).toEqual({ internal: 1 });
    expect(counts.missing(0)).toBe(0);
  });

  it('delivers everything, in order, through an outage and a restart', async () => {
    const server = await startServer();
    const queue = { directory: join(directory, 'queue') };
    const first = await create(server.url, { queue });
    for (let index = 0; index < 20; index += 1) await first.exporter.export({ resourceMetrics: period(index) });
    await delivered(first.counts, 40);
    await server.refuse();
    for (let index = 20; index < 200; index += 1) await first.exporter.export({ resourceMetrics: period(index) });
    await vi.waitFor(() => expect(first.counts.failures.length).toBeGreaterThan(2));
    await first.exporter.flush(100);
    await first.exporter[Symbol.asyncDispose]();
    expect(first.counts.missing(360)).toBe(0);
    await server.listen();
    const second = await create(server.url, { queue });
    for (let index = 200; index < 220; index += 1) await second.exporter.export({ resourceMetrics: period(index) });
    await flushed(second, 400);
    expect(second.counts.recoveredPoints).toBe(360);
    expect(valuesOf(server, 'a')).toEqual(range(0, 220));
    expect(valuesOf(server, 'b')).toEqual(range(0, 220));
    expect(second.counts.missing(second.exporter.queueState.points)).toBe(0);
  });

  it('loses nothing to resets, refusals and errors that pass, and repeats only what was not answered', async () => {
    const server = await startServer();
    const subject = await create(server.url, { queue: { directory: join(directory, 'queue') } });
    const faults = ['reset', 'respond', 'half_response', 'ok', 'ok'] as const;
    server.behave = (_request, index) => {
      const kind = faults[(index * 7) % faults.length];
      if (kind === 'reset' || kind === 'half_response') return { kind };
      return { kind: 'respond', status: kind === 'respond' ? 503 : 200 };
    };
    for (let index = 0; index < 150; index += 1) await subject.exporter.export({ resourceMetrics: period(index) });
    await flushed(subject, 300);
    expect(valuesOf(server, 'a')).toEqual(range(0, 150));
    expect(subject.counts.missing(0)).toBe(0);
  });

  it('does not let one destination feel that another one is dead', async () => {
    const [dead, alive] = [await startServer(), await startServer()];
    dead.behave = () => ({ kind: 'blackhole' });
    const first = await create(dead.url, {}, { id: 'otlp/dead' });
    const second = await create(alive.url, {}, { id: 'otlp/alive' });
    for (let index = 0; index < 50; index += 1) {
      const batch = { resourceMetrics: period(index) };
      await Promise.all([first.exporter.export(batch), second.exporter.export(batch)]);
    }
    await delivered(second.counts, 100);
    expect(valuesOf(alive, 'a')).toEqual(range(0, 50));
    expect(first.exporter.queueState).toMatchObject({ points: 100, requests: 50 });
  });

  it('ends its flush early when everything is on disk and the receiver is gone', async () => {
    const server = await startServer();
    await server.refuse();
    const { exporter } = await create(server.url, { queue: { directory: join(directory, 'queue') } });
    await exporter.export({ resourceMetrics: period(1) });
    await vi.waitFor(() => expect(exporter.queueState.isDurable).toBe(true));
    await exporter.flush(60_000);
    expect(exporter.queueState.points).toBe(2);
  });

  it('is disposed more than once, and takes nothing afterwards', async () => {
    const server = await startServer();
    const { exporter, counts } = await create(server.url);
    await exporter[Symbol.asyncDispose]();
    await exporter[Symbol.asyncDispose]();
    expect(await exporter.export({ resourceMetrics: period(1) })).toMatchObject({ outcome: 'failed', points: 2 });
    expect(counts.missing(0)).toBe(0);
  });

  it('never shows a secret: not in errors, not in queue files', async () => {
    const canary = 'canary-7f3a';
    const server = await startServer();
    server.behave = () => ({ kind: 'respond', status: 401, headers: { 'content-type': 'text/plain' }, body: 'who are you?' });
    const lines: string[] = [];
    const logger = {
      debug: (fields: unknown, message: string) => void lines.push(JSON.stringify(fields) + message),
      info: (fields: unknown, message: string) => void lines.push(JSON.stringify(fields) + message),
      warn: (fields: unknown, message: string) => void lines.push(JSON.stringify(fields) + message),
      error: (fields: unknown, message: string) => void lines.push(JSON.stringify(fields) + message),
      child: () => logger,
    };
    const queue = { directory: join(directory, 'queue') };
    const { exporter, counts } = await create(server.url, { headers: [['authorization', new Secret(canary)]], queue }, { logger });
    await exporter.export({ resourceMetrics: period(1) });
    await vi.waitFor(() => expect(counts.dropped_).toEqual({ rejected: 2 }));
    expect(lines.join('\n')).toContain('refused a request for good');
    expect(lines.join('\n') + JSON.stringify(counts)).not.toContain(canary);
  });
});
