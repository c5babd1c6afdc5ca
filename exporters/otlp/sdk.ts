import { ExportResultCode } from '@opentelemetry/core';
import type { ExportResult } from '@opentelemetry/core';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { ExportOutcome, MetricsBatch, PushExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import { countPoints } from '../../src/tick-reader.ts';

const COMPONENT = 'otlp';

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
