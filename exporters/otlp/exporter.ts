import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { ExportOutcome, MetricsBatch, PushExporter } from '../../src/exporter.ts';
import type { Clock } from '../../src/host.ts';
import { countPoints } from '../../src/readers.ts';
import type { BatchLimit } from '../delivery/batch-limit.ts';
import { compressBody } from '../delivery/compression.ts';
import type { DeliveryEvents, QueueState } from '../delivery/events.ts';
import type { RequestQueue } from '../delivery/queue.ts';
import type { Sender } from '../delivery/sender.ts';
import { CollectionConverter } from './converter.ts';
import type { EncodedRequest, RequestEncoder } from './requests.ts';
import type { OtlpSettings } from './settings.ts';

/**
 * One OTLP destination. `export` settles when the batch is queued, on disk if the queue has one that works: its `sent` means taken
 * over, and telemetry counts what becomes of the points.
 */
export interface OtlpExporter extends PushExporter {
  readonly queueState: QueueState;
}

export interface OtlpExporterOptions {
  readonly id: string;
  readonly settings: OtlpSettings;
  readonly limit: BatchLimit;
  readonly encoder: RequestEncoder;
  readonly queue: RequestQueue;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly events: DeliveryEvents;
}

/** `OtlpPushExporter` encodes collections and adds them to the queue in order. */
export class OtlpPushExporter implements OtlpExporter {
  readonly kind = 'push';
  readonly id: string;
  readonly #options: OtlpExporterOptions;
  readonly #converter: CollectionConverter;
  /** Compression runs in other threads; this promise keeps the order. */
  #lastAdded: Promise<void> = Promise.resolve();
  #disposed: Promise<void> | undefined;

  constructor(options: OtlpExporterOptions) {
    this.id = options.id;
    this.#options = options;
    this.#converter = new CollectionConverter(options.settings, options.clock.nowMs());
  }

  get queueState(): QueueState {
    return this.#options.queue.state;
  }

  async export(batch: MetricsBatch): Promise<ExportOutcome> {
    if (this.#disposed !== undefined) return failed(countPoints(batch.resourceMetrics), new Error('exporter was disposed'));
    const resourceMetrics = this.#converter.convert(batch.resourceMetrics).filter((resource) => countPoints([resource]) > 0);
    const points = countPoints(resourceMetrics);
    if (points === 0) return { outcome: 'sent', points };
    try {
      // The next collection changes the points, so they are encoded before the first await.
      const requests = this.#encode(resourceMetrics);
      await this.#enqueue(requests);
      return { outcome: 'sent', points };
    } catch (thrown) {
      this.#options.events.produced(points);
      this.#options.events.dropped(points, 'internal');
      return failed(points, thrown);
    }
  }

  async flush(deadlineMs: number): Promise<void> {
    const { clock, sender } = this.#options;
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
    const { queue, sender } = this.#options;
    await this.#lastAdded;
    await sender.close();
    await queue.close();
  }

  #encode(resourceMetrics: readonly ResourceMetrics[]): readonly EncodedRequest[] {
    const { encoder, limit, events } = this.#options;
    const { requests, oversizedPoints } = encoder.encode(resourceMetrics, limit.current);
    if (oversizedPoints > 0) {
      events.produced(oversizedPoints);
      events.dropped(oversizedPoints, 'oversized');
    }
    return requests;
  }

  /** Settles when the requests are as safe as they get. */
  async #enqueue(requests: readonly EncodedRequest[]): Promise<void> {
    if (this.#options.settings.compression === 'none') {
      await Promise.all(requests.map(({ body, points }) => this.#add(body, body, points, 'none')));
      return;
    }
    const saved: Promise<void>[] = [];
    this.#lastAdded = this.#compressAfter(this.#lastAdded, requests, saved);
    await this.#lastAdded;
    await Promise.all(saved);
  }

  async #compressAfter(before: Promise<void>, requests: readonly EncodedRequest[], saved: Promise<void>[]): Promise<void> {
    const { compression } = this.#options.settings;
    const compressed = await Promise.allSettled(requests.map(({ body }) => compressBody(body, compression)));
    await before;
    for (const [index, { body, points }] of requests.entries()) {
      const result = compressed[index];
      // A body that could not be compressed is sent as it is.
      saved.push(
        result?.status === 'fulfilled' ? this.#add(body, result.value, points, compression) : this.#add(body, body, points, 'none'),
      );
    }
  }

  #add(raw: Buffer, body: Buffer, points: number, contentEncoding: OtlpSettings['compression']): Promise<void> {
    const { queue, events, encoder } = this.#options;
    events.produced(points);
    return queue.add({ body, points, rawBytes: raw.length, contentType: encoder.contentType, contentEncoding });
  }
}

function failed(points: number, thrown: unknown): ExportOutcome {
  return { outcome: 'failed', points, error: AgentError.from(thrown, 'internal', 'otlp') };
}
