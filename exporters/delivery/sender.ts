import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Clock } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { Backoff } from './backoff.ts';
import type { BatchLimit } from './batch-limit.ts';
import { compressBody, decompressBody } from './compression.ts';
import type { Compression } from './compression.ts';
import { DrainLimit } from './drain-limit.ts';
import type { DeliveryEvents } from './events.ts';
import { refused } from './outcome.ts';
import type { Accepted, Refused, RetryLater, SendOutcome, Transport } from './outcome.ts';
import { Pause } from './pause.ts';
import type { TakenRequests } from './queue-entries.ts';
import type { RequestQueue } from './queue.ts';
import type { DeliveryRequest, RequestFormat } from './request.ts';

export interface SenderOptions {
  readonly queue: RequestQueue;
  readonly transport: Transport;
  readonly format: RequestFormat;
  readonly limit: BatchLimit;
  readonly backoff: Backoff;
  readonly clock: Clock;
  readonly events: DeliveryEvents;
  readonly logger: Logger;
}

/** After something that should not happen, and while requests wait but none can be read. */
const AFTER_TROUBLE_MS = 1000;

/**
 * Delivers a queue in order, one request at a time, until closed; what can be retried is retried without an end. Requests that wait
 * behind one another are merged into one up to the batch limit, so that a backlog costs few round trips.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #drainLimit: DrainLimit;
  readonly #pause: Pause;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #flush: PromiseWithResolvers<void> | undefined;
  /** Requests were added since the queue was asked last. */
  #hasNews = false;
  /** False for the rest of the process when the receiver takes the smallest requests only. */
  #isMerging = true;
  /** The requests at the head could not be merged: the next attempt takes the first of them alone. */
  #isMergingNext = true;
  /** Compressions that the receiver has taken, or has refused where it took another one. */
  readonly #takes = new Map<Compression, boolean>();
  #lastReport = '';
  /** Kept for the next attempt, which usually takes the same requests. */
  #lastMerged: { readonly entries: TakenRequests['entries']; readonly request: DeliveryRequest } | undefined;

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
        this.#options.logger.error({ err: AgentError.from(thrown, 'internal', 'delivery') }, 'delivery failed unexpectedly');
        await this.#pause.wait('end', AFTER_TROUBLE_MS);
      }
    }
  }

  async #step(): Promise<void> {
    this.#hasNews = false;
    const { queue, limit, clock } = this.#options;
    const { requests, waitMs } =
      this.#flush === undefined ? this.#drainLimit.allowed(clock.monotonicMs()) : { requests: Number.POSITIVE_INFINITY, waitMs: 0 };
    if (waitMs > 0 && queue.state.requests > 0) {
      await this.#pause.wait('work', waitMs);
      return;
    }
    const taken = await queue.take({ ...limit.current, maxRequests: this.#isMerging && this.#isMergingNext ? Math.max(1, requests) : 1 });
    this.#isMergingNext = true;
    if (taken === undefined) await this.#waitForWork();
    else await this.#deliver(taken);
  }

  async #waitForWork(): Promise<void> {
    if (this.#hasNews) return;
    this.#flush?.resolve();
    await this.#pause.wait('work', this.#options.queue.state.requests > 0 ? AFTER_TROUBLE_MS : undefined);
  }

  async #deliver(taken: TakenRequests): Promise<void> {
    const { queue } = this.#options;
    try {
      const request = await this.#merged(taken);
      if (request === undefined) {
        this.#isMergingNext = false;
        return;
      }
      const outcome = await this.#attempt(request);
      if (outcome.kind === 'retry') await this.#failed(taken, outcome);
      else if (outcome.kind === 'too_large') await this.#tooLarge(taken, request, outcome.error);
      else await this.#settled(taken, outcome);
    } finally {
      queue.putBack(taken);
    }
  }

  /** One request that holds all that was taken, in memory only; undefined when it cannot be merged. */
  async #merged({ entries, requests }: TakenRequests): Promise<DeliveryRequest | undefined> {
    const [first] = requests;
    if (first === undefined || requests.length === 1) return first;
    const last = this.#lastMerged;
    if (last?.entries.length === entries.length && entries.every((entry, index) => entry === last.entries[index])) return last.request;
    try {
      const bodies = await Promise.all(requests.map(({ body, contentEncoding }) => decompressBody(body, contentEncoding)));
      const merged = this.#options.format.merge(bodies, first.contentType);
      if (merged === undefined) return undefined;
      const request = { ...first, body: await compressBody(merged, first.contentEncoding), ...sizeOf(requests) };
      this.#lastMerged = { entries, request };
      return request;
    } catch (thrown) {
      this.#options.logger.debug({ err: AgentError.from(thrown, 'internal', 'delivery') }, 'requests could not be merged');
      return undefined;
    }
  }

  async #failed(taken: TakenRequests, { error, isAnswered, retryAfterMs }: RetryLater): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const { queue, events, backoff } = this.#options;
    queue.putBack(taken);
    events.attemptFailed(taken.points, error);
    this.#drainLimit.failed();
    if (queue.state.isDurable) this.#flush?.resolve();
    // A wait that the receiver asked for is not cut short by a flush.
    const waitMs = backoff.nextMs({ isAnswered, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    await this.#pause.wait(retryAfterMs === undefined ? 'flush' : 'end', waitMs);
  }

  /** Makes the requests that follow smaller, and divides this one where its format can. */
  async #tooLarge(taken: TakenRequests, request: DeliveryRequest, error: AgentError): Promise<void> {
    const { queue, limit, events } = this.#options;
    const isSmaller = limit.refused(request);
    if (taken.requests.length > 1) {
      events.attemptFailed(taken.points, error);
      this.#isMerging &&= isSmaller;
      return;
    }
    const parts = limit.isDivisible(request) ? await this.#divided(request) : undefined;
    if (parts === undefined) {
      await this.#settled(taken, refused(`${error.message}; it cannot be divided further: set batch to what the receiver takes`));
      return;
    }
    events.attemptFailed(taken.points, error);
    await queue.replace(taken, parts);
  }

  async #divided(request: DeliveryRequest): Promise<readonly DeliveryRequest[] | undefined> {
    const { contentEncoding, contentType } = request;
    const parts = this.#options.format.split(await decompressBody(request.body, contentEncoding), contentType);
    if (parts === undefined) return undefined;
    return await Promise.all(
      parts.map(async ({ body, points }) => ({
        ...request,
        body: await compressBody(body, contentEncoding),
        points,
        rawBytes: body.length,
      })),
    );
  }

  async #settled(taken: TakenRequests, outcome: Accepted | Refused): Promise<void> {
    this.#options.backoff.reset();
    this.#lastMerged = undefined;
    this.#drainLimit.sent(taken.requests.length);
    const removed = this.#options.queue.done(taken);
    this.#count(taken.points, outcome);
    await removed;
  }

  #count(points: number, outcome: Accepted | Refused): void {
    const { events, logger } = this.#options;
    if (outcome.kind === 'refused') {
      events.dropped(points, 'rejected');
      this.#report(outcome.error.message, () => logger.error({ points, err: outcome.error }, 'the receiver refused a request for good'));
      return;
    }
    const { rejectedPoints, message } = outcome;
    events.sent(points - rejectedPoints);
    if (rejectedPoints > 0) events.dropped(rejectedPoints, 'partially_rejected');
    this.#report(message, () => logger.warn({ rejectedPoints, reported: message }, 'the receiver reports a problem'));
  }

  /** Repetition is counted, not logged. */
  #report(message: string, log: () => void): void {
    if (message !== '' && message !== this.#lastReport) log();
    this.#lastReport = message;
  }

  async #attempt(request: DeliveryRequest): Promise<SendOutcome> {
    try {
      return await this.#send(request);
    } catch (thrown) {
      const { message } = AgentError.from(thrown, 'internal', 'delivery');
      return refused(`request could not be prepared: ${message}`);
    }
  }

  /** A receiver that refuses the first compressed request perhaps does not know the compression: with another one it is another request. */
  async #send(request: DeliveryRequest): Promise<SendOutcome> {
    const doubted: Compression[] = [];
    for (let attempted = request; ;) {
      const { contentEncoding } = attempted;
      const takes = this.#takes.get(contentEncoding);
      const next = NEXT_COMPRESSION[contentEncoding];
      if (takes !== false || next === undefined) {
        const outcome = await this.#options.transport.send(attempted, this.#closing.signal);
        if (outcome.kind === 'accepted') this.#learn(contentEncoding, doubted);
        const isDoubtful = takes === undefined && outcome.kind === 'refused' && outcome.isEncodingDoubtful === true;
        if (!isDoubtful || next === undefined) return outcome;
        doubted.push(contentEncoding);
      }
      attempted = await compressedAs(attempted, next);
    }
  }

  #learn(taken: Compression, refusedOnes: readonly Compression[]): void {
    this.#takes.set(taken, true);
    for (const compression of refusedOnes) {
      this.#takes.set(compression, false);
      this.#options.logger.warn({ compression, instead: taken }, 'the receiver does not take this compression, another one is used');
    }
  }
}

/** Compression to try when a receiver may not support one. */
const NEXT_COMPRESSION: Partial<Record<Compression, Compression>> = { zstd: 'gzip', gzip: 'none' };

async function compressedAs(request: DeliveryRequest, contentEncoding: Compression): Promise<DeliveryRequest> {
  const body = await compressBody(await decompressBody(request.body, request.contentEncoding), contentEncoding);
  return { ...request, body, contentEncoding };
}

function sizeOf(requests: readonly DeliveryRequest[]): { readonly points: number; readonly rawBytes: number } {
  return {
    points: requests.reduce((sum, { points }) => sum + points, 0),
    rawBytes: requests.reduce((sum, { rawBytes }) => sum + rawBytes, 0),
  };
}
