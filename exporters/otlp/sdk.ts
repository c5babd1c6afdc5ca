import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { ExportResultCode } from '@opentelemetry/core';
import type { ExportResult } from '@opentelemetry/core';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { ExportOutcome, MetricsBatch, PushExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import { countPoints } from '../../src/readers.ts';
import { CollectionConverter } from './converter.ts';
import { HeaderSource, TlsSource } from '../delivery/credentials.ts';
import type { OtlpSettings } from './settings.ts';

const COMPONENT = 'otlp';
/** The SDK refuses an export beyond 30 at once; a collection has one for each Neuron process. */
const CONCURRENT_EXPORTS = 10_000;

export interface SdkServices {
  /** `otlp` or `otlp/NAME`. */
  readonly id: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The SDK's exporters read these themselves, whatever the name of the destination. */
const HEADER_VARIABLES = ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_METRICS_HEADERS'] as const;

/**
 * Creates an exporter of the OpenTelemetry SDK for one destination: `implementation: sdk`. This module is imported only then, and the
 * exporter's package only for its protocol. The agent converts collections before (order of times, form of histograms, temporality).
 */
export async function createSdkExporter(settings: OtlpSettings, { id, clock, logger, env = {} }: SdkServices): Promise<PushExporter> {
  const variables = HEADER_VARIABLES.filter((name) => env[name] !== undefined);
  if (id !== 'otlp' && variables.length > 0)
    logger.warn({ variables }, 'the OpenTelemetry SDK sends the headers of these variables to this destination too');
  const exporter = await loadExporter(settings, logger);
  const converter = new CollectionConverter(settings, clock.nowMs());
  const adapted = adaptPushMetricExporter(exporter, { id, timeoutMs: settings.timeout, clock });
  return { ...adapted, export: ({ resourceMetrics }) => adapted.export({ resourceMetrics: converter.convert(resourceMetrics) }) };
}

async function loadExporter(settings: OtlpSettings, logger: Logger): Promise<PushMetricExporter> {
  const common = {
    url: settings.endpoint,
    timeoutMillis: settings.timeout,
    compression: settings.compression === 'gzip' ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
    concurrencyLimit: CONCURRENT_EXPORTS,
  };
  if (settings.protocol === 'grpc') {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-grpc');
    return new OTLPMetricExporter(common);
  }
  const headers = new HeaderSource(settings.headers, logger);
  const tls = new TlsSource(settings.tls, logger);
  // The SDK asks for headers before each request, and for the agent once.
  const httpAgentOptions = async (protocol: string): Promise<HttpAgent> =>
    protocol === 'https:' ? new HttpsAgent({ keepAlive: true, ...(await tls.current()) }) : new HttpAgent({ keepAlive: true });
  const http = { ...common, headers: () => headers.current(), httpAgentOptions };
  if (settings.protocol === 'http/json') {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
    return new OTLPMetricExporter(http);
  }
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
  return new OTLPMetricExporter(http);
}

export interface AdapterOptions {
  readonly id: string;
  /** An export or a shutdown that takes longer counts as failed. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * Puts a push exporter of the OpenTelemetry SDK behind the agent's interface. Exporters of the SDK take one resource a call: a collection
 * becomes one call for each resource, all made in order before the first await, and their outcomes are added up. There is no queue: what
 * the SDK's exporter gives up is lost, and reported as failed.
 */
export function adaptPushMetricExporter(exporter: PushMetricExporter, options: AdapterOptions): PushExporter {
  let disposed: Promise<void> | undefined;

  async function shutdown(): Promise<void> {
    await withDeadline(options.clock, exporter.shutdown(), options.timeoutMs);
  }

  return {
    kind: 'push',
    id: options.id,
    export: (batch) => exportAll(exporter, batch, options),
    async flush(deadlineMs) {
      await withDeadline(options.clock, exporter.forceFlush(), deadlineMs);
    },
    [Symbol.asyncDispose]() {
      disposed ??= shutdown();
      return disposed;
    },
  };
}

async function exportAll(exporter: PushMetricExporter, batch: MetricsBatch, options: AdapterOptions): Promise<ExportOutcome> {
  const outcomes = await Promise.all(
    batch.resourceMetrics
      .map((resource) => ({ resource, points: countPoints([resource]) }))
      .filter(({ points }) => points > 0)
      .map(({ resource, points }) => exportOne(exporter, resource, points, options)),
  );
  const failed = outcomes.filter((outcome) => outcome.outcome === 'failed');
  const [first] = failed;
  if (first === undefined) return { outcome: 'sent', points: sumPoints(outcomes) };
  return { outcome: 'failed', points: sumPoints(failed), error: first.error };
}

function sumPoints(outcomes: readonly ExportOutcome[]): number {
  return outcomes.reduce((sum, { points }) => sum + points, 0);
}

async function exportOne(
  exporter: PushMetricExporter,
  resource: ResourceMetrics,
  points: number,
  options: AdapterOptions,
): Promise<ExportOutcome> {
  let result: ExportResult | undefined;
  const exported = call(exporter, resource).then((ended) => void (result = ended));
  await withDeadline(options.clock, exported, options.timeoutMs);
  if (result === undefined) {
    return { outcome: 'failed', points, error: new AgentError('export_retryable', COMPONENT, 'export took too long') };
  }
  if (result.code === ExportResultCode.SUCCESS) return { outcome: 'sent', points };
  const error = AgentError.from(result.error ?? new Error('export failed without a reason'), 'export_permanent', COMPONENT);
  return { outcome: 'failed', points, error };
}

function call(exporter: PushMetricExporter, resource: ResourceMetrics): Promise<ExportResult> {
  return new Promise((resolve) => {
    try {
      exporter.export(resource, resolve);
    } catch (thrown) {
      resolve({ code: ExportResultCode.FAILED, error: AgentError.from(thrown, 'internal', COMPONENT) });
    }
  });
}
