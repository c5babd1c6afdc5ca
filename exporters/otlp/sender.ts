import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { Backoff } from './backoff.ts';
import { compressBody, decompressBody } from './compression.ts';
import { DrainLimit } from './drain-limit.ts';
import { Pause } from './pause.ts';
import type { QueueEntry } from './persister.ts';
import type { RequestQueue } from './queue.ts';
import type { OtlpRequest } from './record.ts';
import type { OtlpTelemetry } from './telemetry.ts';
import { refusedVerdict } from './verdict.ts';
import type { Transport, Verdict } from './verdict.ts';

export interface SenderOptions {
  readonly queue: RequestQueue;
  readonly transport: Transport;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly telemetry: OtlpTelemetry;
  readonly logger: Logger;
}

/** After something that should not happen, and while requests wait but none can be read. */
const AFTER_TROUBLE_MS = 1000;

/** Delivers a queue in order, one request at a time, until closed; what can be retried is retried without an end. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #drainLimit: DrainLimit;
  readonly #pause: Pause;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #flush: PromiseWithResolvers<void> | undefined;
  /** Requests were added since the queue was asked last. */
  #hasNews = false;
  /** Whether the receiver takes zstd; unknown before its first answer. */
  #takesZstd: boolean | undefined;
  #lastReport = '';

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#drainLimit = new DrainLimit(options.clock.monotonicMs());
    this.#pause = new Pause(options.clock);
    this.#running = this.#run();
  }

  /** A request was added to the queue. */
  added(): void {
    this.#hasNews = true;
    this.#drainLimit.added();
    this.#pause.wake('work');
  }

  /** Sends what waits until nothing does, the time is up, or the receiver fails while everything is safe on disk. */
  async flush(deadlineMs: number): Promise<void> {
    if (this.#options.queue.state.requests === 0) return;
    this.#flush = Promise.withResolvers();
    this.#pause.wake('flush');
    await withDeadline(this.#options.clock, this.#flush.promise, deadlineMs);
    this.#flush = undefined;
  }

  /** Stops at once; the request under way stays in the queue. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#pause.wake('end');
    await this.#running;
    await this.#options.transport.close();
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        await this.#step();
      } catch (thrown) {
        // A bug must not end delivery, let alone the process.
        this.#options.logger.error({ err: AgentError.from(thrown, 'internal', 'otlp') }, 'OTLP delivery stumbled');
        await this.#pause.wait('end', AFTER_TROUBLE_MS);
      }
    }
  }

  async #step(): Promise<void> {
    this.#hasNews = false;
    const entry = await this.#options.queue.next();
    if (entry === undefined) {
      await this.#waitForWork();
      return;
    }
    const waitMs = this.#flush === undefined ? this.#drainLimit.take(this.#options.clock.monotonicMs()) : 0;
    if (waitMs > 0) await this.#pause.wait('work', waitMs);
    else await this.#deliver(entry);
  }

  async #waitForWork(): Promise<void> {
    if (this.#hasNews) return;
    this.#flush?.resolve();
    await this.#pause.wait('work', this.#options.queue.state.requests > 0 ? AFTER_TROUBLE_MS : undefined);
  }

  async #deliver(entry: QueueEntry): Promise<void> {
    const { queue, telemetry, backoff } = this.#options;
    const verdict = await this.#attempt(entry.request);
    if (verdict.kind === 'retry') {
      if (this.#closing.signal.aborted) return;
      telemetry.attemptFailed(entry.request.points, verdict.error);
      this.#drainLimit.failed();
      if (queue.state.isDurable) this.#flush?.resolve();
      // A wait that the receiver asked for is not cut short by a flush.
      await this.#pause.wait(verdict.retryAfterMs === undefined ? 'flush' : 'end', backoff.nextMs(verdict.retryAfterMs));
      return;
    }
    backoff.reset();
    const removed = queue.done(entry);
    this.#count(entry.request.points, verdict);
    await removed;
  }

  #count(points: number, verdict: Exclude<Verdict, { kind: 'retry' }>): void {
    const { telemetry, logger } = this.#options;
    if (verdict.kind === 'refused') {
      telemetry.dropped(points, 'rejected');
      this.#report(verdict.error.message, () => logger.error({ points, err: verdict.error }, 'OTLP receiver refused a request for good'));
      return;
    }
    const { rejectedPoints, message } = verdict;
    telemetry.sent(points - rejectedPoints);
    if (rejectedPoints > 0) telemetry.dropped(rejectedPoints, 'partially_rejected');
    this.#report(message, () => logger.warn({ rejectedPoints, reported: message }, 'OTLP receiver says'));
  }

  /** Repetition is counted, not logged. */
  #report(message: string, log: () => void): void {
    if (message !== '' && message !== this.#lastReport) log();
    this.#lastReport = message;
  }

  async #attempt(request: OtlpRequest): Promise<Verdict> {
    try {
      return await this.#send(request);
    } catch (thrown) {
      const { message } = AgentError.from(thrown, 'internal', 'otlp');
      return refusedVerdict(`request could not be prepared: ${message}`);
    }
  }

  async #send(request: OtlpRequest): Promise<Verdict> {
    const { transport, logger } = this.#options;
    const { signal } = this.#closing;
    if (request.contentEncoding !== 'zstd' || this.#takesZstd === true) return await transport.send(request, signal);
    if (this.#takesZstd === false) return await transport.send(await asGzip(request), signal);
    const verdict = await transport.send(request, signal);
    if (verdict.kind === 'accepted') this.#takesZstd = true;
    if (verdict.kind !== 'refused' || verdict.isEncodingDoubtful !== true) return verdict;
    // Perhaps the receiver does not know zstd: in gzip it is another request.
    const second = await transport.send(await asGzip(request), signal);
    if (second.kind === 'accepted') {
      this.#takesZstd = false;
      logger.warn({}, 'OTLP receiver does not take zstd, gzip is used');
    }
    return second;
  }
}

async function asGzip(request: OtlpRequest): Promise<OtlpRequest> {
  const body = await compressBody(await decompressBody(request.body, 'zstd'), 'gzip');
  return { ...request, body, contentEncoding: 'gzip' };
}
