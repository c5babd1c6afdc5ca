import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Collection } from './collection.ts';
import { withDeadline } from './deadline.ts';
import { AgentError } from './errors.ts';
import type { Exporter, PushExporter, ReportExporter } from './exporter.ts';
import type { Clock } from './host.ts';
import type { Logger } from './log.ts';
import { PullCycle } from './pull-cycle.ts';
import type { Report } from './report.ts';
import { isFact, isReported } from './readings.ts';
import type { AnyGroupReading, MetricGroup } from './readings.ts';
import { Scheduler } from './scheduler.ts';
import { groupsByPeriod } from './selection.ts';
import type { Selection } from './selection.ts';
import { SELF_SCOPE } from './self-metrics.ts';
import type { SelfTelemetry } from './telemetry.ts';
import type { SeriesStore } from './store.ts';
import { SourceLadder } from './source-ladder.ts';
import type { PullSource, ReadingBatch, StreamLine, StreamSource } from './source.ts';
import { PullReader, TickReader } from './readers.ts';

export interface AgentOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly selection: Selection;
  readonly store: SeriesStore;
  readonly collection: Collection;
  readonly telemetry: SelfTelemetry;
  readonly stream?: StreamSource;
  /** In order of preference. */
  readonly pullSources: readonly PullSource[];
  readonly exporters: readonly Exporter[];
  readonly reports: {
    /** The line of a stream without what the configuration leaves out. */
    fromLine(line: StreamLine): Report;
    /** A report in neuron-monitor's shape: readings of native sources that no report had before, and the facts. */
    fromReadings(readings: readonly AnyGroupReading[], collection: Collection): Report;
  };
  /** Native sources are read twice at the start, so far apart, when somebody takes reports: the first one is complete then. */
  readonly firstReadingsApartMs?: number;
  readonly selfMetrics: boolean;
  /** Snapshots also hold what feeds legacy families only. */
  readonly legacySnapshots: boolean;
  readonly version: string;
}

/** A live stream is not read on before every exporter has taken the last record, but no longer than this. */
const EXPORTERS_TAKE_MS = 1_000;
/** Exporters send what is pending within this time after a stop was asked for, so that the process ends within five seconds. */
export const FLUSH_DEADLINE_MS = 4_500;
/** The agent does not wait longer than this for one component to stop. */
const STOP_DEADLINE_MS = 5_000;

/** One life: sources → collection → readers → exporters. Exporters start first and are disposed last. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #ladder: SourceLadder;
  readonly #pushExporters: readonly PushExporter[];
  readonly #reportExporters: readonly ReportExporter[];
  readonly #readers: readonly TickReader[];
  readonly #pullReader: PullReader;
  readonly #provider: MeterProvider;
  readonly #schedulers: { [Symbol.asyncDispose](): Promise<void> }[] = [];
  readonly #life = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #collections = 0;
  #streamIsDown = false;
  #disposed: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#ladder = new SourceLadder({
      clock: options.clock,
      pullSources: options.pullSources,
      periodMs: (group) => options.selection.periodsMs.get(group) ?? options.selection.defaultPeriodMs,
      failed: (source, thrown) => options.telemetry.collectionFailed(AgentError.from(thrown, 'internal', source.id)),
    });
    this.#pushExporters = options.exporters.filter((exporter) => exporter.kind === 'push');
    this.#reportExporters = options.exporters.filter((exporter) => exporter.kind === 'report');
    this.#readers = this.#createReaders();
    this.#pullReader = new PullReader({
      store: options.store,
      sampleClock: options.collection.sampleClock,
      legacy: options.legacySnapshots,
    });
    this.#provider = new MeterProvider({ readers: [...this.#readers, this.#pullReader] });
    options.telemetry.register(this.#provider.getMeter(SELF_SCOPE, options.version));
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
    return this.#pullReader.snapshot(options);
  }

  /** Starts exporters, then sources; rejects when an exporter cannot start (a port in use). */
  async start(): Promise<void> {
    for (const exporter of this.#options.exporters) if (exporter.kind === 'pull') await exporter.start();
    this.#startSchedulers();
    await this.#options.stream?.start({
      batch: (batch) => this.#onStreamBatch(batch),
      lost: (error, reason) => this.#options.telemetry.lineLost(reason, error),
      state: (state) => {
        this.#streamIsDown = state.state === 'interrupted';
        if (state.state === 'live') this.#options.telemetry.sourceLive(this.#options.stream?.id ?? 'neuron-monitor');
        if (state.state === 'interrupted')
          this.#options.telemetry.sourceInterrupted(this.#options.stream?.id ?? 'neuron-monitor', state.error, state.retryInMs);
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
    const { stream, pullSources, exporters, logger } = this.#options;
    this.#life.abort();
    const steps: (() => Promise<void>)[] = [
      ...this.#schedulers.map((scheduler) => () => scheduler[Symbol.asyncDispose]()),
      async () => stream?.[Symbol.asyncDispose](),
      ...pullSources.map((source) => () => source[Symbol.asyncDispose]()),
      () => this.#provider.forceFlush(),
      () => this.#tick(() => true),
      () => this.#flush(),
      ...exporters.toReversed().map((exporter) => () => exporter[Symbol.asyncDispose]()),
      () => this.#provider.shutdown(),
    ];
    for (const step of steps) {
      try {
        const ended = await withDeadline(this.#options.clock, step(), STOP_DEADLINE_MS);
        if (!ended) logger.warn({}, 'a component did not stop in time');
      } catch (thrown) {
        logger.warn({ err: AgentError.from(thrown, 'internal', 'agent') }, 'a component did not stop cleanly');
      }
    }
  }

  /** All destinations at once: a dead one costs the others nothing. */
  async #flush(): Promise<void> {
    await Promise.all([...this.#pushExporters, ...this.#reportExporters].map((exporter) => exporter.flush(FLUSH_DEADLINE_MS)));
  }

  #createReaders(): readonly TickReader[] {
    const { selection, store, collection, telemetry, selfMetrics } = this.#options;
    const periods = [...groupsByPeriod(selection)];
    return periods.map(
      ([periodMs, groups]) =>
        new TickReader({
          store,
          sampleClock: collection.sampleClock,
          groups,
          periodMs,
          exporters: this.#pushExporters,
          selfMetrics: selfMetrics && groups.has('instance_info'),
          observer: {
            exported: (exporter, outcome) => telemetry.exported(exporter.id, outcome),
            skipped: (skippedPeriodMs) => telemetry.readerSkipped(skippedPeriodMs),
          },
        }),
    );
  }

  #startSchedulers(): void {
    const { clock, selection, pullSources, collection, telemetry } = this.#options;
    const periods = groupsByPeriod(selection);
    const failed = (thrown: unknown): void => telemetry.collectionFailed(AgentError.from(thrown, 'internal', 'agent'));
    if (pullSources.length > 0) {
      const run = this.#createPullRun();
      const pulls = new Scheduler<ReadonlySet<MetricGroup>>({
        clock,
        tasks: [...periods].map(([periodMs, groups]) => ({ periodMs, value: groups })),
        run: (due) => run(new Set(due.flatMap((task) => [...task.value]))),
        skipped: (_task, missed) => telemetry.schedulerSkipped(missed),
        failed,
      });
      this.#schedulers.push(pulls);
      pulls.start();
    }
    const housekeepingMs = Math.min(1_000, Math.max(100, Math.min(...periods.keys()) / 4));
    const housekeeping = new Scheduler({
      clock,
      tasks: [{ periodMs: housekeepingMs, value: 'expire' }],
      run: () => Promise.resolve(collection.expire()),
      skipped: () => {},
      failed,
    });
    this.#schedulers.push(housekeeping);
    housekeeping.start();
  }

  /** A record is there: its arrival is the tick. */
  async #onStreamBatch(batch: ReadingBatch): Promise<void> {
    const { telemetry, reports } = this.#options;
    telemetry.lineReceived(batch.source);
    const recorded = groupsOf(this.#options.collection.apply([batch], { serves: () => true, namesRuntimes: true }));
    this.#ladder.streamDelivered(recorded);
    this.#countCollection();
    if (batch.line !== undefined) this.#report(reports.fromLine(batch.line));
    const taken = this.#tick((group) => recorded.has(group));
    await withDeadline(this.#options.clock, taken, EXPORTERS_TAKE_MS);
  }

  /** The work of one cycle. The first one, where all groups are due, reads twice when a report is to be complete at once. */
  #createPullRun(): (due: ReadonlySet<MetricGroup>) => Promise<void> {
    const { stream, firstReadingsApartMs: apartMs } = this.#options;
    const cycle = this.#createPullCycle();
    let isFirst = true;
    return async (due) => {
      const readsTwice = isFirst && apartMs !== undefined && stream === undefined && this.#reportExporters.length > 0;
      isFirst = false;
      await (readsTwice ? cycle.runTwice(due, { apartMs }) : cycle.run(due));
    };
  }

  #createPullCycle(): PullCycle {
    const { clock, telemetry } = this.#options;
    return new PullCycle({
      clock,
      life: this.#life.signal,
      assign: (due) => this.#ladder.assign(due),
      publish: (batches, isLate) => this.#publishPulled(batches, isLate),
      failed: (error) => telemetry.collectionFailed(error),
    });
  }

  #publishPulled(batches: readonly ReadingBatch[], isLate: boolean): void {
    const { collection, stream, reports } = this.#options;
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
    void this.#tick((group) => recorded.has(group));
  }

  #countCollection(): void {
    this.#collections += 1;
    for (const { count, resolve } of this.#waiting) if (this.#collections >= count) resolve();
  }

  #report(report: Report): void {
    for (const exporter of this.#reportExporters) exporter.export(report);
  }

  async #tick(wants: (group: MetricGroup) => boolean): Promise<void> {
    const due = this.#readers.filter((reader) => [...reader.groups].some((group) => wants(group)));
    await Promise.all(due.map((reader) => reader.tick()));
  }
}

function groupsOf(readings: readonly AnyGroupReading[]): ReadonlySet<MetricGroup> {
  return new Set(readings.map(({ group }) => group));
}
