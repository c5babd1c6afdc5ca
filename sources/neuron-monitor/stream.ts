import type { Readable } from 'node:stream';
import { AgentError } from '../../src/errors.ts';
import { errnoName } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import type { Logger } from '../../src/log.ts';
import type { MetricGroup } from '../../src/readings.ts';
import type { ReadingBatch, StreamSink, StreamState } from '../../src/source.ts';
import { decodeRecord } from './decode.ts';
import type { DecodedRecord } from './decode.ts';
import type { JsonObject } from '../../src/json-object.ts';
import { LineSplitter, MAX_LINE_BYTES, parseLine } from './lines.ts';
import type { LineEvent } from './lines.ts';
import { LivingRuntimes, StreamPeriods } from './living-runtimes.ts';

const NO_GROUPS: ReadonlySet<MetricGroup> = new Set();

export interface FeedOptions {
  readonly host: Host;
  readonly logger: Logger;
  readonly sink: StreamSink;
  /** Ends the reading: nothing reaches the sink afterwards. */
  readonly signal: AbortSignal;
  /** Called with each record before it is handed over, for replay at the recorded pace. */
  readonly beforeRecord?: (record: DecodedRecord) => Promise<void>;
  /** The configuration of the agent is the writer's own: a period is known before its second reading. */
  readonly periodsAreConfigured?: boolean;
  /** Monotonic time of the record; the host's clock unless a replay keeps its own. */
  readonly recordTimeMs?: () => number;
}

/**
 * Lines in, batches out. One line is handed over after the other has been taken, so a slow agent slows the reading and the
 * writer behind it, and no queue grows here.
 */
export class RecordFeed {
  readonly #options: FeedOptions;
  readonly #living = new LivingRuntimes();
  readonly #periods = new StreamPeriods();
  readonly #groups = new Set<MetricGroup>();
  #live = false;
  #lastInputMs: number;
  #firstRecordMs: number | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#lastInputMs = options.host.clock.monotonicMs();
  }

  /** Groups that came since the stream was last interrupted. */
  get groups(): ReadonlySet<MetricGroup> {
    return this.#groups;
  }

  /** Monotonic time of the last bytes, or of the last `restart`. */
  get lastInputMs(): number {
    return this.#lastInputMs;
  }

  /** Monotonic time of the first record since the last `restart`. */
  get firstRecordMs(): number | undefined {
    return this.#firstRecordMs;
  }

  /** The next bytes come from a new writer. */
  restart(): void {
    this.#lastInputMs = this.#options.host.clock.monotonicMs();
    this.#firstRecordMs = undefined;
    this.#live = false;
    this.#groups.clear();
    this.#periods.restart();
  }

  /** Passes a change of state on. */
  tell(state: StreamState): void {
    void this.#guard(async () => this.#options.sink.state(state));
  }

  /** Reads to the end of the input. Returns the error the input failed with, if it did. */
  async drain(input: Readable): Promise<AgentError | undefined> {
    const { signal, host } = this.#options;
    const splitter = new LineSplitter();
    let failed: AgentError | undefined;
    try {
      for await (const chunk of input) {
        this.#lastInputMs = host.clock.monotonicMs();
        for (const event of splitter.push(asBytes(chunk))) {
          await this.#handle(event);
          if (signal.aborted) return undefined;
        }
      }
    } catch (thrown) {
      // A stream that was destroyed on purpose ends early as well.
      if (errnoName(thrown) !== 'ERR_STREAM_PREMATURE_CLOSE') failed = AgentError.from(thrown, 'source_absent', 'neuron-monitor');
    }
    const rest = splitter.end();
    if (rest !== undefined && !signal.aborted) await this.#handle(rest);
    return signal.aborted ? undefined : failed;
  }

  async #handle(event: LineEvent): Promise<void> {
    switch (event.kind) {
      case 'line':
      case 'unterminated':
        return this.#handleLine(event);
      case 'too_long':
        return this.#lose(
          new AgentError('source_malformed', 'neuron-monitor', `line is longer than ${MAX_LINE_BYTES / 2 ** 20} MiB`),
          'too_long',
        );
    }
  }

  /** A last line without a line end is a record when it is a whole document, and a cut-off line otherwise. */
  async #handleLine({ kind, bytes }: LineEvent & { readonly bytes: Uint8Array }): Promise<void> {
    const parsed = parseLine(bytes);
    if (parsed.outcome === 'malformed') {
      if (kind === 'line') return this.#lose(parsed.error, 'malformed');
      return this.#lose(new AgentError('source_malformed', 'neuron-monitor', 'last line is cut off', { cause: parsed.error }), 'partial');
    }
    const record = decodeRecord(parsed.document);
    await this.#options.beforeRecord?.(record);
    if (this.#options.signal.aborted) return;
    const failures = [...parsed.failures, ...record.failures];
    await this.#deliver({ ...record, failures }, bytes, parsed.document);
  }

  async #deliver(record: DecodedRecord, bytes: Uint8Array, document: JsonObject): Promise<void> {
    const { host, sink } = this.#options;
    const nowMs = host.clock.monotonicMs();
    this.#firstRecordMs ??= nowMs;
    for (const reading of record.readings) this.#groups.add(reading.group);
    this.#periods.learn(record.readings);
    const atMs = this.#options.recordTimeMs?.() ?? nowMs;
    const runtimes = record.runtimes && this.#living.update(record.runtimes, record.readings, { atMs, periods: this.#periods });
    const unknownPeriods = this.#options.periodsAreConfigured === true ? NO_GROUPS : this.#periods.unknownAmong(record.readings);
    const batch: ReadingBatch = {
      source: 'neuron-monitor',
      sampledAtMs: host.clock.nowMs(),
      readings: record.readings,
      failures: record.failures,
      line: { bytes, document },
      ...(runtimes === undefined ? {} : { runtimes }),
      ...(unknownPeriods.size === 0 ? {} : { unknownPeriods }),
    };
    if (!this.#live) this.tell({ state: 'live' });
    this.#live = true;
    await this.#guard(() => sink.batch(batch));
  }

  async #lose(error: AgentError, reason: 'malformed' | 'too_long' | 'partial'): Promise<void> {
    await this.#guard(async () => this.#options.sink.lost(error, reason));
  }

  /** A fault of the receiving side costs one record, not the stream. */
  async #guard(hand: () => Promise<void>): Promise<void> {
    try {
      await hand();
    } catch (thrown) {
      this.#options.logger.error({ err: AgentError.from(thrown, 'internal', 'neuron-monitor') }, 'the agent could not take a record');
    }
  }
}

/** Readables carry buffers, or strings once somebody set an encoding. */
function asBytes(chunk: unknown): Uint8Array {
  return chunk instanceof Uint8Array ? chunk : Buffer.from(String(chunk), 'utf8');
}
