import { createReadStream } from 'node:fs';
import type { ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { AgentError } from '../../src/errors.ts';
import { fileError } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { MetricGroup } from '../../src/readings.ts';
import type { StreamSink, StreamSource } from '../../src/source.ts';
import { ChildSource } from './child-source.ts';
import type { ChildOptions } from './child-source.ts';
import { Pace } from './pace.ts';
import { RecordFeed } from './stream.ts';

/** The records come from a child process of the agent, from a pipe on stdin, or from a file. */
export type NeuronMonitorOptions =
  | ({ readonly mode: 'child' } & ChildOptions)
  | ({ readonly mode: 'stdin' } & StdinOptions)
  | ({ readonly mode: 'file' } & FileOptions);

/** A stream of neuron-monitor's records. All three speak the same format and differ only in where the bytes come from. */
export function createNeuronMonitorSource(options: NeuronMonitorOptions): StreamSource {
  switch (options.mode) {
    case 'child':
      return new ChildSource(options);
    case 'stdin':
      return new StdinSource(options);
    case 'file':
      return new FileSource(options);
  }
}

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

export interface FileOptions {
  readonly host: Host;
  readonly logger: Logger;
  readonly path: string;
  /** `recorded` (default) keeps the periods of the records; `max` goes as fast as the agent takes them. */
  readonly speed?: 'recorded' | 'max';
  /** Starts over at the end, for demonstrations. */
  readonly loop?: boolean;
}

/** Replays a file of records. */
export class FileSource implements StreamSource {
  readonly kind = 'stream';
  readonly id = 'neuron-monitor';
  readonly #options: FileOptions;
  readonly #stop = new AbortController();
  readonly #pace: Pace;
  #feed: RecordFeed | undefined;
  #file: ReadStream | undefined;
  #done: Promise<void> | undefined;

  constructor(options: FileOptions) {
    this.#options = options;
    this.#pace = new Pace({ clock: options.host.clock, signal: this.#stop.signal, waits: options.speed !== 'max' });
  }

  groups(): ReadonlySet<MetricGroup> {
    return this.#feed?.groups ?? new Set();
  }

  /** Resolves as soon as reading has begun; rejects with `source_absent` or `source_denied` when there is no such file. */
  async start(sink: StreamSink): Promise<void> {
    const { host, logger, path } = this.#options;
    await assertFile(path);
    this.#feed = new RecordFeed({
      host,
      logger,
      sink,
      signal: this.#stop.signal,
      beforeRecord: (record) => this.#pace.before(record.readings),
      recordTimeMs: () => this.#pace.recordTimeMs,
    });
    this.#done = this.#run(this.#feed);
  }

  async #run(feed: RecordFeed): Promise<void> {
    do {
      this.#pace.startOver();
      this.#file = createReadStream(this.#options.path);
      const error = await feed.drain(this.#file);
      if (error !== undefined) {
        this.#options.logger.error({ err: error }, 'the file cannot be read on');
        break;
      }
    } while (this.#options.loop === true && feed.firstRecordMs !== undefined && !this.#stop.signal.aborted);
    if (!this.#stop.signal.aborted) feed.tell({ state: 'ended' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#file?.destroy();
    await this.#done;
  }
}

async function assertFile(path: string): Promise<void> {
  try {
    if (!(await stat(path)).isDirectory()) return;
  } catch (thrown) {
    throw fileError(thrown, 'neuron-monitor');
  }
  throw new AgentError('source_absent', 'neuron-monitor', 'the file to replay is a directory');
}
