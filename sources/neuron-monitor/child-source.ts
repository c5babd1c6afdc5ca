import { withDeadline } from '../../src/deadline.ts';
import { AgentError } from '../../src/errors.ts';
import type { Clock, Host, Timer } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { MetricGroup } from '../../src/readings.ts';
import type { StreamSink, StreamSource } from '../../src/source.ts';
import { findBinary } from './binary.ts';
import { MonitorChild, childEnv, writeConfigFile } from './child.ts';
import { pause } from './pause.ts';
import { RecordFeed } from './stream.ts';

/** A child that delivered for this long starts again without delay history. */
const HEALTHY_MS = 60_000;
/** Output that the child wrote before its end is read within this time. */
const DRAIN_MS = 5_000;
/** A child that ends closes its output first; a child that lives on after that can deliver nothing more. */
const EXIT_AFTER_OUTPUT_MS = 1_000;
/** Timers take no longer delay than 2^31 ms. */
const LONGEST_PAUSE_MS = 3_600_000;

export interface ChildOptions {
  readonly host: Host;
  readonly logger: Logger;
  /** Absolute path of neuron-monitor; searched in PATH and /opt/aws/neuron/bin when absent. */
  readonly binary?: string;
  /** neuron-monitor's configuration file, as an object; without it the child runs with its own default. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A child that writes nothing for this long is started again; never when absent. */
  readonly stallAfterMs?: number;
  /** For the jitter of restarts; `Math.random` when absent. */
  readonly random?: () => number;
}

/**
 * `ChildSource` runs AWS's neuron-monitor and starts it again after every end, with a delay that doubles from 1 s to 60 s. A binary that
 * is absent is a state that heals when the binary is installed.
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

  /** Resolves at once; the result of the start reaches the sink as a state. */
  start(sink: StreamSink): Promise<void> {
    const { host, logger } = this.#options;
    this.#feed = new RecordFeed({ host, logger, sink, signal: this.#stop.signal, periodsAreConfigured: true });
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

  /** Runs the child once and returns the reason for its end. */
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
    const closed = drained.then(() => this.#closed(over.signal));
    const reason = await Promise.race([child.exited, closed, this.#stalled(feed, over.signal), this.#stopped(over.signal)]);
    over.abort();
    await child.stop();
    await withDeadline(host.clock, drained, DRAIN_MS);
    child.stdout.destroy();
    await withDeadline(host.clock, drained, DRAIN_MS);
    this.#stderr.flush();
    return reason;
  }

  /** Resolves a moment after the end of the output: the exit of a child that ends as usual is the better reason. */
  async #closed(over: AbortSignal): Promise<AgentError> {
    await pause(this.#options.host.clock, EXIT_AFTER_OUTPUT_MS, over);
    return new AgentError('child_exited', 'neuron-monitor', 'neuron-monitor closed its output');
  }

  /** Resolves when the source is disposed; listens no longer than `over` allows. */
  #stopped(over: AbortSignal): Promise<AgentError> {
    const stopped = Promise.withResolvers<AgentError>();
    const onAbort = (): void => stopped.resolve(new AgentError('child_exited', 'neuron-monitor', 'neuron-monitor was stopped'));
    if (this.#stop.signal.aborted) onAbort();
    else this.#stop.signal.addEventListener('abort', onAbort, { once: true, signal: over });
    return stopped.promise;
  }

  /** Resolves when the child was silent for too long; after an abort of `over` its value is without use. */
  async #stalled(feed: RecordFeed, over: AbortSignal): Promise<AgentError> {
    const { clock } = this.#options.host;
    const stallAfterMs = this.#options.stallAfterMs ?? Infinity;
    for (let leftMs = stallAfterMs; leftMs > 0 && !over.aborted; leftMs = feed.lastInputMs + stallAfterMs - clock.monotonicMs()) {
      await pause(clock, Math.min(leftMs, LONGEST_PAUSE_MS), over);
    }
    return new AgentError('source_timeout', 'neuron-monitor', 'neuron-monitor wrote nothing for longer than stall_after');
  }
}

const FIRST_MS = 1_000;
const CAP_MS = 60_000;
/** A delay lies between 80 % and 120 % of its step, so that the hosts of a fleet do not restart together. */
const JITTER = 0.2;

/** `Backoff` returns delays that double from 1 s to 60 s. */
export class Backoff {
  readonly #random: () => number;
  #nextMs = FIRST_MS;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  next(): number {
    const delayMs = this.#nextMs * (1 + JITTER * (2 * this.#random() - 1));
    this.#nextMs = Math.min(2 * this.#nextMs, CAP_MS);
    return Math.round(Math.min(delayMs, CAP_MS));
  }

  reset(): void {
    this.#nextMs = FIRST_MS;
  }
}

const KEPT_BYTES = 8 * 1024;
/** Output that arrives within this time becomes one log line. */
const SETTLE_MS = 500;
/** A child whose output changes all the time is logged this often. */
const QUIET_MS = 10_000;

/**
 * `StderrLog` writes the child's stderr to the log: the last 8 KiB, once for each change of the last line. Digits are ignored in the
 * comparison, so timestamps and counters do not fill the log.
 */
export class StderrLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #kept: Buffer = Buffer.alloc(0);
  #timer: Timer | undefined;
  #lastLogged = '';
  #quietUntilMs = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  push(chunk: Uint8Array): void {
    this.#kept = Buffer.concat([this.#kept, chunk.subarray(-KEPT_BYTES)]).subarray(-KEPT_BYTES);
    const waitMs = Math.max(SETTLE_MS, this.#quietUntilMs - this.#clock.monotonicMs());
    this.#timer ??= this.#clock.setTimer(() => this.flush(), waitMs, { background: true });
  }

  /** Logs the kept output when it is new, and drops it. */
  flush(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const text = this.#kept.toString('utf8').trim();
    this.#kept = Buffer.alloc(0);
    const comparable = text.slice(text.lastIndexOf('\n') + 1).replaceAll(/\d+/g, '#');
    if (text === '' || comparable === this.#lastLogged) return;
    this.#lastLogged = comparable;
    this.#quietUntilMs = this.#clock.monotonicMs() + QUIET_MS;
    this.#logger.warn({ stderr: text }, 'neuron-monitor wrote to stderr');
  }
}
