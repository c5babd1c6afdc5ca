import { ExportResultCode } from '@opentelemetry/core';
import type { ExportResult } from '@opentelemetry/core';
import { OTLPMetricExporter as JsonExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { JsonMetricsSerializer, ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { describe, expect, it } from 'vitest';
import { adaptPushMetricExporter } from '../../../exporters/otlp/sdk.ts';
import { systemClock } from '../../../src/host.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MisbehavingGrpcServer } from '../../support/misbehaving-grpc-server.ts';
import { MisbehavingOtlpServer } from '../../support/misbehaving-otlp-server.ts';
import { everyKind, resourceMetrics } from './batches.ts';

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
    expect([fake.flushes, fake.shutdowns]).toEqual([1, 1]);
  });
});

describe('the stock exporters', () => {
  const [first] = everyKind();
  const outcome = { outcome: 'sent', points: 8 };

  it.each([
    { name: 'http/protobuf', create: (url: string) => new ProtobufExporter({ url }), serializer: ProtobufMetricsSerializer },
    { name: 'http/json', create: (url: string) => new JsonExporter({ url }), serializer: JsonMetricsSerializer },
  ])('$name can be plugged in', async ({ create, serializer }) => {
    await using server = await MisbehavingOtlpServer.start();
    await using exporter = adaptPushMetricExporter(create(server.url), {
      id: 'otlp',
      timeoutMs: 5000,
      clock: systemClock,
    });
    expect(await exporter.export({ resourceMetrics: first === undefined ? [] : [first] })).toEqual(outcome);
    expect(server.accepted.map(({ body }) => body)).toEqual([
      Buffer.from(serializer.serializeRequest(first ?? resourceMetrics({}, [])) ?? []),
    ]);
  });

  it('grpc can be plugged in, and is loaded only then', async () => {
    await using server = await MisbehavingGrpcServer.start();
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-grpc');
    await using exporter = adaptPushMetricExporter(new OTLPMetricExporter({ url: server.url }), {
      id: 'otlp',
      timeoutMs: 5000,
      clock: systemClock,
    });
    expect(await exporter.export({ resourceMetrics: first === undefined ? [] : [first] })).toEqual(outcome);
    expect(server.calls.map(({ message }) => message)).toEqual([
      Buffer.from(ProtobufMetricsSerializer.serializeRequest(first ?? resourceMetrics({}, [])) ?? []),
    ]);
  });
});
