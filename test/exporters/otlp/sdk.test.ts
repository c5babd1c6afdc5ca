import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ExportResultCode } from '@opentelemetry/core';
import type { ExportResult } from '@opentelemetry/core';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { otlpJson } from '../../../exporters/otlp/json.ts';
import { ProtobufEncoder } from '../../../exporters/otlp/protobuf.ts';
import { UNLIMITED } from '../../../exporters/otlp/requests.ts';
import { adaptPushMetricExporter, createSdkExporter } from '../../../exporters/otlp/sdk.ts';
import { systemClock } from '../../../src/host.ts';
import { silentLogger } from '../../../src/log.ts';
import { Secret } from '../../../src/secret.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { T0_MS, TEST_METRICS, cycle, testStore } from '../../support/metrics.ts';
import { MisbehavingGrpcServer } from '../../support/misbehaving-grpc-server.ts';
import { MisbehavingOtlpServer } from '../../support/misbehaving-otlp-server.ts';
import { decodeRequest } from '../../support/otlp-decode.ts';
import { scratchDirectory } from '../../support/scratch.ts';
import { otlpSettings } from '../../support/settings.ts';
import { everyKind, gauge, point, resourceMetrics } from './batches.ts';

class FakeSdkExporter implements PushMetricExporter {
  readonly calls: { readonly metrics: ResourceMetrics; readonly done: (result: ExportResult) => void }[] = [];
  flushes = 0;
  shutdowns = 0;

  export(metrics: ResourceMetrics, done: (result: ExportResult) => void): void {
    this.calls.push({ metrics, done });
  }

  async forceFlush(): Promise<void> {
    this.flushes += 1;
  }

  async shutdown(): Promise<void> {
    this.shutdowns += 1;
  }

  finish(...codes: readonly ExportResultCode[]): void {
    for (const [index, code] of codes.entries()) this.calls[index]?.done({ code });
  }
}

const SUCCESS = ExportResultCode.SUCCESS;
const FAILED = ExportResultCode.FAILED;

function adapted(fake: PushMetricExporter, clock = new ManualClock()) {
  return adaptPushMetricExporter(fake, { id: 'otlp', timeoutMs: 1000, clock });
}

describe('adaptPushMetricExporter', () => {
  it('calls the SDK exporter once for each resource, in order, before it first awaits', async () => {
    const fake = new FakeSdkExporter();
    const exporter = adapted(fake);
    const outcome = exporter.export({ resourceMetrics: everyKind() });
    expect(fake.calls.map(({ metrics }) => metrics.resource.attributes['process.pid'])).toEqual([undefined, 4242, 4243]);
    fake.finish(SUCCESS, SUCCESS, SUCCESS);
    expect(await outcome).toEqual({ outcome: 'sent', points: 13 });
  });

  it('does not call it for a resource without points', async () => {
    const fake = new FakeSdkExporter();
    const exporter = adapted(fake);
    expect(await exporter.export({ resourceMetrics: [resourceMetrics({}, [])] })).toEqual({ outcome: 'sent', points: 0 });
    expect(fake.calls).toEqual([]);
  });

  it('reports the points of the resources that failed', async () => {
    const fake = new FakeSdkExporter();
    const exporter = adapted(fake);
    const outcome = exporter.export({ resourceMetrics: everyKind() });
    fake.finish(FAILED, SUCCESS, FAILED);
    expect(await outcome).toMatchObject({ outcome: 'failed', points: 9, error: { code: 'export_permanent', component: 'otlp' } });
  });

  it('gives up after the timeout', async () => {
    const fake = new FakeSdkExporter();
    const clock = new ManualClock();
    const exporter = adapted(fake, clock);
    const outcome = exporter.export({ resourceMetrics: everyKind().slice(0, 1) });
    await clock.advance(1000);
    expect(await outcome).toMatchObject({ outcome: 'failed', points: 8, error: { code: 'export_retryable' } });
  });

  it('turns an exporter that throws into a failure', async () => {
    const fake = new FakeSdkExporter();
    fake.export = () => {
      throw new Error('broken');
    };
    const exporter = adapted(fake);
    const outcome = await exporter.export({ resourceMetrics: everyKind() });
    expect(outcome).toMatchObject({ outcome: 'failed', points: 13, error: { code: 'internal', message: 'broken' } });
  });

  it('flushes and shuts down, once', async () => {
    const fake = new FakeSdkExporter();
    const exporter = adapted(fake);
    await exporter.flush(10);
    await exporter[Symbol.asyncDispose]();
    await exporter[Symbol.asyncDispose]();
    expect(fake.flushes).toBe(1);
    expect(fake.shutdowns).toBe(1);
  });
});

describe('createSdkExporter', () => {
  const options = otlpSettings({ endpoint: '', timeout: 5000 });
  const services = { id: 'otlp', clock: systemClock, logger: silentLogger };

  it.each(['none', 'gzip'] as const)(
    'delivers the points of the native exporter over http/protobuf, compression %s',
    async (compression) => {
      await using server = await MisbehavingOtlpServer.start();
      await using exporter = await createSdkExporter({ ...options, compression, endpoint: server.url }, services);
      expect(await exporter.export({ resourceMetrics: everyKind() })).toEqual({ outcome: 'sent', points: 13 });
      expect(sorted(server.accepted.flatMap(({ body }) => decodeRequest(body)))).toEqual(sorted(decodeRequest(nativeBody())));
    },
  );

  it('delivers the points of the native exporter over http/json', async () => {
    await using server = await MisbehavingOtlpServer.start();
    await using exporter = await createSdkExporter({ ...options, protocol: 'http/json', endpoint: server.url }, services);
    await exporter.export({ resourceMetrics: everyKind() });
    const received = server.accepted.flatMap(({ body }) => (JSON.parse(body.toString()) as { resourceMetrics: unknown[] }).resourceMetrics);
    const expected = (JSON.parse(otlpJson(everyKind()).toString()) as { resourceMetrics: unknown[] }).resourceMetrics;
    expect(sorted(received)).toEqual(sorted(expected));
  });

  it('delivers the points of the native exporter over grpc', async () => {
    await using server = await MisbehavingGrpcServer.start();
    await using exporter = await createSdkExporter({ ...options, protocol: 'grpc', endpoint: server.url }, services);
    expect(await exporter.export({ resourceMetrics: everyKind() })).toEqual({ outcome: 'sent', points: 13 });
    expect(sorted(server.calls.flatMap(({ message }) => decodeRequest(message)))).toEqual(sorted(decodeRequest(nativeBody())));
  });

  it('delivers more resources at once than the SDK exports at once by default', async () => {
    await using server = await MisbehavingOtlpServer.start();
    await using exporter = await createSdkExporter({ ...options, endpoint: server.url }, services);
    const collection = Array.from({ length: 64 }, (_, pid) => resourceMetrics({ 'process.pid': pid }, [gauge('one', [point(pid)])]));
    expect(await exporter.export({ resourceMetrics: collection })).toEqual({ outcome: 'sent', points: 64 });
  });

  it('sends headers, those from files among them', async () => {
    using folder = scratchDirectory();
    const file = join(folder.path, 'token');
    writeFileSync(file, 'from-a-file\n');
    await using server = await MisbehavingOtlpServer.start();
    const headers = [
      ['x-plain', new Secret('plain')],
      ['authorization', { file }],
    ] as const;
    await using exporter = await createSdkExporter({ ...options, endpoint: server.url, headers }, services);
    await exporter.export({ resourceMetrics: everyKind().slice(0, 1) });
    expect(server.accepted[0]?.headers).toMatchObject({ 'x-plain': 'plain', authorization: 'from-a-file' });
  });

  it('converts to differences and explicit buckets before the SDK serializes', async () => {
    await using server = await MisbehavingOtlpServer.start();
    const settings = { ...options, protocol: 'http/json', temporality: 'delta', histogram: 'explicit', endpoint: server.url } as const;
    await using exporter = await createSdkExporter(settings, services);
    const store = testStore();
    const nowSecond = (Date.now() - T0_MS) / 1000;
    for (const second of [1, 2]) {
      store.apply(cycle(nowSecond + second), (recorder) => {
        recorder.add(TEST_METRICS.executions, 7, { outcome: 'completed' });
        recorder.distribution(TEST_METRICS.latency, { count: 10, quantiles: new Map([[0.5, 0.01]]) }, {});
      });
      await exporter.export({ resourceMetrics: [store.collectHost()] });
    }
    const last = server.accepted.at(-1)?.body.toString() ?? '';
    expect(last).toContain('"asInt":7');
    expect(last).toContain('"explicitBounds"');
    expect(last).toContain('"aggregationTemporality":1');
  });

  it('reports points as failed that the receiver refuses', async () => {
    await using server = await MisbehavingOtlpServer.start();
    server.behave = () => ({ kind: 'respond', status: 400 });
    await using exporter = await createSdkExporter({ ...options, endpoint: server.url }, services);
    expect(await exporter.export({ resourceMetrics: everyKind().slice(0, 1) })).toMatchObject({ outcome: 'failed', points: 8 });
  });
});

/** The SDK sends the resources of a collection at the same time, so they arrive in any order. */
function sorted(values: readonly unknown[]): readonly string[] {
  return values.map((value) => JSON.stringify(value)).toSorted();
}

function nativeBody(): Buffer {
  return new ProtobufEncoder().encode(everyKind(), UNLIMITED).requests[0]?.body ?? Buffer.alloc(0);
}
