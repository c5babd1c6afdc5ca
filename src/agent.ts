import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { disposal, inOrder, withDeadline } from './deadline.ts';
import { AgentError } from './errors.ts';
import { flushAll } from './exporter.ts';
import { PullCycle } from './pull-cycle.ts';
import type { Report } from './report.ts';
import { isFact, isReported } from './readings.ts';
import type { AnyGroupReading, MetricGroup } from './readings.ts';
import { Scheduler } from './scheduler.ts';
import { groupsByPeriod } from './selection.ts';
import { SourceLadder } from './source-ladder.ts';
import type { ReadingBatch } from './source.ts';
import { Readers } from './readers.ts';
import type { AgentOptions, AgentSetup, Kept } from './setup.ts';

/** A live stream is not read on before every exporter has taken the last record, but no longer than this. */
const EXPORTERS_TAKE_MS = 1_000;
/** Exporters send what is pending within this time after a stop was asked for, so that the process ends within five seconds. */
export const FLUSH_DEADLINE_MS = 4_500;
/** The agent does not wait longer than this for one component to stop. */
const STOP_DEADLINE_MS = 5_000;

/** One life: sources → collection → readers → exporters. Exporters start first and are disposed last. */
export class Agent {
  readonly #options: AgentOptions;
  #setup: AgentSetup;
  #readers: Readers;
  readonly #ladder: SourceLadder;
  #schedulers: readonly AsyncDisposable[] = [];
  readonly #life = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #collections = 0;
  #isFirstPull = true;
  #streamIsDown = false;
  /** Records of a stream wait while a new configuration is put in force. */
  #reconfigured: Promise<void> = Promise.resolve();
  #disposed: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#setup = options;
    this.#ladder = new SourceLadder({
      clock: options.clock,
      pullSources: () => this.#setup.pullSources,
      periodMs: (group) => this.#setup.selection.periodsMs.get(group) ?? this.#setup.selection.defaultPeriodMs,
      failed: (source, thrown) => options.telemetry.collectionFailed(AgentError.from(thrown, 'internal', source.id)),
    });
    this.#readers = this.#createReaders();
  }

  /** Resolves when no more data can come: the stream ended and its last data were handed on. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** True after the first sample was recorded. */
  get ready(): boolean {
    return this.#collections > 0;
  }

  /** Resolves after this many collections, of a stream or of native sources. */
  collected(count: number): Promise<void> {
    if (this.#collections >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ count, resolve });
    });
  }

  /** Changes whenever there is something new to scrape. */
  get generation(): number {
    return this.#options.store.sequence;
  }

  /** Returns everything that is live now, for scrapes and one-shot output. */
  async snapshot(options: { readonly selfMetrics: boolean }): Promise<readonly ResourceMetrics[]> {
    this.#options.collection.expire();
    return this.#readers.snapshot(options);
  }

  /** Starts exporters, then sources; rejects when an exporter cannot start (a port in use). */
  async start(): Promise<void> {
    await this.#startExporters(new Set());
    this.#startSchedulers();
    await this.#startStream();
  }

  /**
   * Puts a new configuration in force between two cycles. Exporters and sources that are kept go on. The others are flushed and disposed
   * before `create` makes their successors, which may want the same port or the same folder. Rejects when that fails; then the agent
   * stands still until the next call.
   */
  reconfigure(kept: Kept, create: () => Promise<AgentSetup>): Promise<void> {
    const reconfigured = this.#reconfigured.then(() => this.#reconfigure(kept, create));
    this.#reconfigured = reconfigured.catch(() => {});
    return reconfigured;
  }

  async #reconfigure(kept: Kept, create: () => Promise<AgentSetup>): Promise<void> {
    const before = this.#setup;
    const readers = this.#readers;
    const gone = before.exporters.filter((exporter) => !kept.has(exporter));
    await this.#inOrder([
      ...this.#stopSchedulers(),
      ...[before.stream, ...before.pullSources].filter((source) => source !== undefined && !kept.has(source)).map(disposal),
      () => readers.tick(() => true),
      () => readers.settle(),
      () => flushAll(gone, FLUSH_DEADLINE_MS),
      ...gone.map(disposal),
    ]);
    if (this.#life.signal.aborted) return;
    this.#setup = await create();
    this.#readers = this.#createReaders();
    await this.#inOrder([disposal(readers)]);
    await this.#startExporters(kept);
    this.#startSchedulers();
    if (before.stream !== this.#setup.stream) await this.#startStream();
  }

  async #startExporters(running: Kept): Promise<void> {
    for (const exporter of this.#setup.exporters) if (exporter.kind === 'pull' && !running.has(exporter)) await exporter.start();
  }

  async #startStream(): Promise<void> {
    const { stream } = this.#setup;
    const { telemetry } = this.#options;
    this.#streamIsDown = false;
    await stream?.start({
      batch: (batch) => this.#onStreamBatch(batch),
      lost: (error, reason) => telemetry.lineLost(reason, error),
      state: (state) => {
        if (this.#setup.stream !== stream) return;
        this.#streamIsDown = state.state === 'interrupted';
        if (state.state === 'live') telemetry.sourceLive(stream.id);
        if (state.state === 'interrupted') telemetry.sourceInterrupted(stream.id, state.error, state.retryInMs);
        if (state.state === 'ended') this.#ended.resolve();
      },
    });
  }

  /** Last tick, flush within the deadline, then disposal in reverse order. Safe to repeat. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.#life.abort();
    await this.#reconfigured;
    const { stream, pullSources, exporters } = this.#setup;
    await this.#inOrder([
      ...this.#stopSchedulers(),
      ...[stream, ...pullSources].map(disposal),
      () => this.#readers.settle(),
      () => this.#readers.tick(() => true),
      () => flushAll(exporters, FLUSH_DEADLINE_MS),
      ...exporters.toReversed().map(disposal),
      disposal(this.#readers),
    ]);
  }

  async #inOrder(steps: readonly (() => Promise<void>)[]): Promise<void> {
    const { clock, logger } = this.#options;
    await inOrder(clock, steps, STOP_DEADLINE_MS, (thrown) => {
      if (thrown === undefined) logger.warn({}, 'a component did not stop in time');
      else logger.warn({ err: AgentError.from(thrown, 'internal', 'agent') }, 'a component did not stop cleanly');
    });
  }

  #createReaders(): Readers {
    const { store, collection, telemetry, legacySnapshots, version } = this.#options;
    const { selection, exporters, selfMetrics } = this.#setup;
    return new Readers({
      store,
      sampleClock: collection.sampleClock,
      telemetry,
      version,
      periods: groupsByPeriod(selection),
      exporters: exporters.filter((exporter) => exporter.kind === 'push'),
      selfMetrics,
      legacy: legacySnapshots,
      observer: {
        exported: (exporter, outcome) => telemetry.exported(exporter.id, outcome),
        skipped: (skippedPeriodMs) => telemetry.readerSkipped(skippedPeriodMs),
      },
    });
  }

  #stopSchedulers(): readonly (() => Promise<void>)[] {
    const stopping = this.#schedulers.map(disposal);
    this.#schedulers = [];
    return stopping;
  }

  #startSchedulers(): void {
    const { clock, collection, telemetry } = this.#options;
    const { selection, pullSources } = this.#setup;
    const periods = groupsByPeriod(selection);
    const failed = (thrown: unknown): void => telemetry.collectionFailed(AgentError.from(thrown, 'internal', 'agent'));
    const run = this.#createPullRun();
    const pulls = new Scheduler<ReadonlySet<MetricGroup>>({
      clock,
      tasks: pullSources.length === 0 ? [] : [...periods].map(([periodMs, groups]) => ({ periodMs, value: groups })),
      run: (due) => run(new Set(due.flatMap((task) => [...task.value]))),
      skipped: (_task, missed) => telemetry.schedulerSkipped(missed),
      failed,
    });
    const housekeepingMs = Math.min(1_000, Math.max(100, Math.min(...periods.keys()) / 4));
    const housekeeping = new Scheduler({
      clock,
      tasks: [{ periodMs: housekeepingMs, value: 'expire' }],
      run: () => Promise.resolve(collection.expire()),
      skipped: () => {},
      failed,
    });
    this.#schedulers = [pulls, housekeeping];
    pulls.start();
    housekeeping.start();
  }

  /** A record is there: its arrival is the tick. */
  async #onStreamBatch(batch: ReadingBatch): Promise<void> {
    await this.#reconfigured;
    const { telemetry } = this.#options;
    telemetry.lineReceived(batch.source);
    const recorded = groupsOf(this.#options.collection.apply([batch], { serves: () => true, namesRuntimes: true }));
    this.#ladder.streamDelivered(recorded);
    this.#countCollection();
    if (batch.line !== undefined) this.#report(this.#setup.reports.fromLine(batch.line));
    const taken = this.#readers.tick((group) => recorded.has(group));
    await withDeadline(this.#options.clock, taken, EXPORTERS_TAKE_MS);
  }

  /** The work of one cycle. The first one, where all groups are due, reads twice when a report is to be complete at once. */
  #createPullRun(): (due: ReadonlySet<MetricGroup>) => Promise<void> {
    const { clock, telemetry, firstReadingsApartMs: apartMs } = this.#options;
    const { stream, exporters } = this.#setup;
    const hasReports = exporters.some(({ kind }) => kind === 'report');
    const cycle = new PullCycle({
      clock,
      life: this.#life.signal,
      assign: (due) => this.#ladder.assign(due),
      publish: (batches, isLate) => this.#publishPulled(batches, isLate),
      failed: (error) => telemetry.collectionFailed(error),
    });
    return async (due) => {
      const readsTwice = this.#isFirstPull && apartMs !== undefined && stream === undefined && hasReports;
      this.#isFirstPull = false;
      await (readsTwice ? cycle.runTwice(due, { apartMs }) : cycle.run(due));
    };
  }

  #publishPulled(batches: readonly ReadingBatch[], isLate: boolean): void {
    const { collection } = this.#options;
    const { stream, reports } = this.#setup;
    const readings = collection.apply(batches, {
      // The stream may have come back while the source was read.
      serves: (group) => !this.#ladder.streamServes(group),
      // The processes of a stream are the stream's to name, also while it is silent: their totals wait for its return.
      namesRuntimes: stream === undefined,
    });
    if (readings.length === 0) return;
    const recorded = groupsOf(readings);
    if (!isLate) this.#countCollection();
    // Facts are part of every report, so late ones alone are no reason for one.
    const isReportDue = [...recorded].some((group) => isReported(group) && !(isLate && isFact(group)));
    if (isReportDue && (stream === undefined || this.#streamIsDown)) this.#report(reports.fromReadings(readings, collection));
    // Exports take their own time; the next sample does not wait for them.
    void this.#readers.tick((group) => recorded.has(group));
  }

  #countCollection(): void {
    this.#collections += 1;
    for (const { count, resolve } of this.#waiting) if (this.#collections >= count) resolve();
  }

  #report(report: Report): void {
    for (const exporter of this.#setup.exporters) if (exporter.kind === 'report') exporter.export(report);
  }
}

function groupsOf(readings: readonly AnyGroupReading[]): ReadonlySet<MetricGroup> {
  return new Set(readings.map(({ group }) => group));
}
