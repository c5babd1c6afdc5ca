import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Host } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { MetricGroup } from '../../src/readings.ts';
import type { StreamSink, StreamSource } from '../../src/source.ts';
import { Backoff } from './backoff.ts';
import { findBinary } from './binary.ts';
import { childEnv } from './child-env.ts';
import { MonitorChild } from './child.ts';
import { writeConfigFile } from './config-file.ts';
import { pause } from './pause.ts';
import { StderrLog } from './stderr-log.ts';
import { RecordFeed } from './stream.ts';

/** A child that delivered for this long starts again without delay history. */
const HEALTHY_MS = 60_000;
/** What the child had written before its end is read within this time. */
const DRAIN_MS = 5_000;
/** Timers take no longer delay than 2^31 ms. */
const LONGEST_PAUSE_MS = 3_600_000;

export interface ChildOptions {
  readonly host: Host;
  readonly logger: Logger;
  /** Absolute path of neuron-monitor; searched in PATH and /opt/aws/neuron/bin when absent. */
  readonly binary?: string;
  /** neuron-monitor's configuration file, as an object; without it the child runs with its own default. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A child that says nothing for this long is started again; never when absent. */
  readonly stallAfterMs?: number;
  /** For the jitter of restarts; `Math.random` when absent. */
  readonly random?: () => number;
}

/**
 * Runs AWS's neuron-monitor and keeps it running: whatever ends it, it is started again after a delay that doubles from 1 s to 60 s.
 * A binary that is not there is a state like any other, and heals when it is installed.
 */
export class ChildSource implements StreamSource {
  readonly kind = 'stream';
  readonly id = 'neuron-monitor';
  readonly #options: ChildOptions;
  readonly #backoff: Backoff;
  readonly #stderr: StderrLog;
  readonly #stop = new AbortController();
  #feed: RecordFeed | undefined;
  #done: Promise<void> | undefined;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
    this.#stderr = new StderrLog(options.host.clock, options.logger);
  }

  groups(): ReadonlySet<MetricGroup> {
    return this.#feed?.groups ?? new Set();
  }

  /** Resolves at once; how starting went is told as a state. */
  start(sink: StreamSink): Promise<void> {
    const { host, logger } = this.#options;
    this.#feed = new RecordFeed({ host, logger, sink, signal: this.#stop.signal });
    this.#done = this.#superviseChildren(this.#feed);
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #superviseChildren(feed: RecordFeed): Promise<void> {
    const { clock } = this.#options.host;
    while (!this.#stop.signal.aborted) {
      feed.restart();
      const error = await this.#runOnce(feed);
      if (this.#stop.signal.aborted) return;
      if (feed.firstRecordMs !== undefined && clock.monotonicMs() - feed.firstRecordMs >= HEALTHY_MS) this.#backoff.reset();
      const retryInMs = this.#backoff.next();
      feed.restart();
      feed.tell({ state: 'interrupted', error, retryInMs });
      await pause(clock, retryInMs, this.#stop.signal);
    }
  }

  /** One life of the child. Returns why it ended. */
  async #runOnce(feed: RecordFeed): Promise<AgentError> {
    const { host, config } = this.#options;
    try {
      const binary = await findBinary(host, this.#options.binary);
      if (config === undefined) return await this.#runChild(feed, binary, []);
      await using file = await writeConfigFile(host, config);
      return await this.#runChild(feed, binary, ['-c', file.path]);
    } catch (thrown) {
      return AgentError.from(thrown, 'internal', 'neuron-monitor');
    }
  }

  async #runChild(feed: RecordFeed, binary: string, args: readonly string[]): Promise<AgentError> {
    const { host, logger } = this.#options;
    const child = new MonitorChild({
      clock: host.clock,
      binary,
      args,
      env: childEnv(host.env),
      onStderr: (chunk) => this.#stderr.push(chunk),
    });
    logger.debug({ binary, childPid: child.pid }, 'neuron-monitor started');
    const drained = feed.drain(child.stdout).then(() => undefined);
    const over = new AbortController();
    const reason = await Promise.race([child.exited, this.#stalled(feed, over.signal), this.#stopped(over.signal)]);
    over.abort();
    await child.stop();
    await withDeadline(host.clock, drained, DRAIN_MS);
    child.stdout.destroy();
    await withDeadline(host.clock, drained, DRAIN_MS);
    this.#stderr.flush();
    return reason;
  }

  /** Resolves when the source is disposed; listens no longer than `over` allows. */
  #stopped(over: AbortSignal): Promise<AgentError> {
    const stopped = Promise.withResolvers<AgentError>();
    const onAbort = (): void => stopped.resolve(new AgentError('child_exited', 'neuron-monitor', 'neuron-monitor was stopped'));
    if (this.#stop.signal.aborted) onAbort();
    else this.#stop.signal.addEventListener('abort', onAbort, { once: true, signal: over });
    return stopped.promise;
  }

  /** Resolves when the child says nothing for too long, or without meaning when `over` aborts. */
  async #stalled(feed: RecordFeed, over: AbortSignal): Promise<AgentError> {
    const { clock } = this.#options.host;
    const stallAfterMs = this.#options.stallAfterMs ?? Infinity;
    for (let leftMs = stallAfterMs; leftMs > 0 && !over.aborted; leftMs = feed.lastInputMs + stallAfterMs - clock.monotonicMs()) {
      await pause(clock, Math.min(leftMs, LONGEST_PAUSE_MS), over);
    }
    return new AgentError('source_timeout', 'neuron-monitor', 'neuron-monitor fell silent');
  }
}
