import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { ExportOutcome, MetricsBatch, PushExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import { compressBody } from './compression.ts';
import { DeltaConverter } from './delta.ts';
import { ExplicitHistograms } from './explicit.ts';
import type { OtlpBatchOptions, OtlpOptions } from './options.ts';
import { planRequests } from './plan.ts';
import type { WireFormat } from './plan.ts';
import type { RequestQueue } from './queue.ts';
import type { Sender } from './sender.ts';
import { countPoints } from './snapshot.ts';
import type { OtlpQueueState, OtlpTelemetry } from './telemetry.ts';

/**
 * One OTLP destination. `export` settles when the batch is queued, on disk if the queue has one that works: its `sent` means taken
 * over, and telemetry says what becomes of the points.
 */
export interface OtlpExporter extends PushExporter {
  readonly queueState: OtlpQueueState;
}

export interface OtlpExporterParts {
  readonly options: OtlpOptions;
  readonly limits: OtlpBatchOptions;
  readonly format: WireFormat;
  readonly queue: RequestQueue;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly telemetry: OtlpTelemetry;
}

/** Encodes batches, and hands them to the queue in order. */
export class OtlpPushExporter implements OtlpExporter {
  readonly kind = 'push';
  readonly id: string;
  readonly #parts: OtlpExporterParts;
  readonly #explicit: ExplicitHistograms | undefined;
  readonly #delta: DeltaConverter | undefined;
  /** Compression runs elsewhere; this keeps the order. */
  #lastAdded: Promise<void> = Promise.resolve();
  #disposed: Promise<void> | undefined;

  constructor(parts: OtlpExporterParts) {
    const { id, histogram, temporality } = parts.options;
    this.id = id;
    this.#parts = parts;
    if (histogram === 'explicit') this.#explicit = new ExplicitHistograms();
    if (temporality !== 'cumulative') this.#delta = new DeltaConverter({ temporality, createdAtMs: parts.clock.nowMs() });
  }

  get queueState(): OtlpQueueState {
    return this.#parts.queue.state;
  }

  async export(batch: MetricsBatch): Promise<ExportOutcome> {
    if (this.#disposed !== undefined) return failed(countPoints(batch.resourceMetrics), new Error('exporter was disposed'));
    const resourceMetrics = this.#convert(batch.resourceMetrics).filter((resource) => countPoints([resource]) > 0);
    const points = countPoints(resourceMetrics);
    if (points === 0) return { outcome: 'sent', points };
    try {
      // Encoded before the first await: the next collection changes the points.
      const requests = this.#encode(resourceMetrics);
      await this.#enqueue(requests);
      return { outcome: 'sent', points };
    } catch (thrown) {
      this.#parts.telemetry.produced(points);
      this.#parts.telemetry.dropped(points, 'internal');
      return failed(points, thrown);
    }
  }

  async flush(deadlineMs: number): Promise<void> {
    const { clock, sender } = this.#parts;
    const startedMs = clock.monotonicMs();
    await withDeadline(clock, this.#lastAdded, deadlineMs);
    await sender.flush(Math.max(0, deadlineMs - (clock.monotonicMs() - startedMs)));
  }

  /** Stops sending at once. Requests on disk stay there; those in memory are written to disk if there is one, or lost. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    const { queue, sender } = this.#parts;
    await this.#lastAdded;
    await sender.close();
    await queue.close();
  }

  #convert(resourceMetrics: readonly ResourceMetrics[]): readonly ResourceMetrics[] {
    const explicit = this.#explicit?.convert(resourceMetrics) ?? resourceMetrics;
    return this.#delta?.convert(explicit) ?? explicit;
  }

  #encode(resourceMetrics: readonly ResourceMetrics[]): readonly EncodedRequest[] {
    const { format, limits, telemetry } = this.#parts;
    const { requests, oversizedPoints } = planRequests(resourceMetrics, format, limits);
    const encoded = requests.map((request) => ({ body: format.assemble(request), points: request.points }));
    if (oversizedPoints > 0) {
      telemetry.produced(oversizedPoints);
      telemetry.dropped(oversizedPoints, 'oversized');
    }
    return encoded;
  }

  /** Settles when the requests are as safe as they get. */
  async #enqueue(requests: readonly EncodedRequest[]): Promise<void> {
    if (this.#parts.options.compression === 'none') {
      await Promise.all(requests.map(({ body, points }) => this.#add(body, points, 'none')));
      return;
    }
    const saved: Promise<void>[] = [];
    this.#lastAdded = this.#compressAfter(this.#lastAdded, requests, saved);
    await this.#lastAdded;
    await Promise.all(saved);
  }

  async #compressAfter(before: Promise<void>, requests: readonly EncodedRequest[], saved: Promise<void>[]): Promise<void> {
    const { compression } = this.#parts.options;
    const compressed = await Promise.allSettled(requests.map(({ body }) => compressBody(body, compression)));
    await before;
    for (const [index, { body, points }] of requests.entries()) {
      const result = compressed[index];
      // Better large than lost.
      saved.push(result?.status === 'fulfilled' ? this.#add(result.value, points, compression) : this.#add(body, points, 'none'));
    }
  }

  #add(body: Buffer, points: number, contentEncoding: OtlpOptions['compression']): Promise<void> {
    const { queue, telemetry, format } = this.#parts;
    telemetry.produced(points);
    return queue.add({ body, points, contentType: format.contentType, contentEncoding });
  }
}

interface EncodedRequest {
  readonly body: Buffer;
  readonly points: number;
}

function failed(points: number, thrown: unknown): ExportOutcome {
  return { outcome: 'failed', points, error: AgentError.from(thrown, 'internal', 'otlp') };
}
