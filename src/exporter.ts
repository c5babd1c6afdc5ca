import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { AgentError } from './errors.ts';
import type { Report } from './report.ts';

/** Points of one reader tick: the host's resource first, then one resource for each Neuron process. */
export interface MetricsBatch {
  readonly resourceMetrics: readonly ResourceMetrics[];
}

export type ExportOutcome =
  | { readonly outcome: 'sent'; readonly points: number }
  | { readonly outcome: 'failed'; readonly points: number; readonly error: AgentError };

/**
 * Pushes batches to one destination. Point objects are reused by the next collection:
 * `export` must have taken what it needs (encoded bytes) before it first awaits.
 */
export interface PushExporter {
  readonly kind: 'push';
  readonly id: string;
  export(batch: MetricsBatch): Promise<ExportOutcome>;
  /** Sends what is pending, within the deadline. */
  flush(deadlineMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Serves each client that asks; reads the latest complete collection through the function it was built with. */
export interface PullExporter {
  readonly kind: 'pull';
  readonly id: string;
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Writes each report in neuron-monitor's own format. */
export interface ReportExporter {
  readonly kind: 'report';
  readonly id: string;
  export(report: Report): void;
  flush(deadlineMs: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export type Exporter = PushExporter | PullExporter | ReportExporter;

/** Sends what is pending to all destinations at once: a dead one costs the others nothing. */
export async function flushAll(exporters: readonly Exporter[], deadlineMs: number): Promise<void> {
  await Promise.all(exporters.map(async (exporter) => (exporter.kind === 'pull' ? undefined : exporter.flush(deadlineMs))));
}
