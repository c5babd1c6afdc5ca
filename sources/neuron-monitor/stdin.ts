import type { Readable } from 'node:stream';
import type { Host } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { MetricGroup } from '../../src/readings.ts';
import type { StreamSink, StreamSource } from '../../src/source.ts';
import { RecordFeed } from './stream.ts';

export interface StdinOptions {
  readonly host: Host;
  readonly logger: Logger;
  /** `process.stdin`, or whatever carries the lines. */
  readonly input: Readable;
}

/** Records piped in by a neuron-monitor that somebody else runs. The end of the input ends the stream for good. */
export class StdinSource implements StreamSource {
  readonly kind = 'stream';
  readonly id = 'neuron-monitor';
  readonly #options: StdinOptions;
  readonly #stop = new AbortController();
  #feed: RecordFeed | undefined;
  #done: Promise<void> | undefined;

  constructor(options: StdinOptions) {
    this.#options = options;
  }

  groups(): ReadonlySet<MetricGroup> {
    return this.#feed?.groups ?? new Set();
  }

  /** Resolves as soon as reading has begun. */
  start(sink: StreamSink): Promise<void> {
    const { host, logger } = this.#options;
    this.#feed = new RecordFeed({ host, logger, sink, signal: this.#stop.signal });
    this.#done = this.#run(this.#feed);
    return Promise.resolve();
  }

  async #run(feed: RecordFeed): Promise<void> {
    const error = await feed.drain(this.#options.input);
    if (error !== undefined) this.#options.logger.error({ err: error }, 'the input failed');
    if (!this.#stop.signal.aborted) feed.tell({ state: 'ended' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#options.input.destroy();
    await this.#done;
  }
}
