import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import type { CollectionResult, MetricProducer, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from './errors.ts';
import type { ExportOutcome, PushExporter } from './exporter.ts';
import { definitionOf } from './metric-table.ts';
import type { MetricGroup } from './readings.ts';
import type { SampleClock } from './sample-clock.ts';
import { SELF_SCOPE } from './self-metrics.ts';
import { hrTimeFromMs } from './series.ts';
import type { SeriesSelection, SeriesStore } from './store.ts';
import type { SelfTelemetry } from './telemetry.ts';

/** Takes the events of a reader, for the telemetry. */
export interface TickObserver {
  exported(exporter: PushExporter, outcome: ExportOutcome): void;
  /** A tick was left out because another one was waiting for exports to end, and that one carries the latest values. */
  skipped(periodMs: number): void;
}

export interface TickReaderOptions {
  readonly store: SeriesStore;
  /** The time of the last cycle, which the agent's own metrics carry too. */
  readonly sampleClock: SampleClock;
  readonly groups: ReadonlySet<MetricGroup>;
  readonly periodMs: number;
  readonly exporters: readonly PushExporter[];
  /** Exactly one reader of an agent exports the agent's own metrics. */
  readonly selfMetrics: boolean;
  /** Cycles up to this one were exported already; 0 when absent. */
  readonly after?: number;
  readonly observer: TickObserver;
}

/** The store as the SDK's own interface for foreign metrics: a reader of the SDK has one resource, and that is the host's. */
class StoreProducer implements MetricProducer {
  readonly #store: SeriesStore;
  readonly #selection: SeriesSelection;
  /** Cycles up to this one are left out. */
  after = 0;

  constructor(store: SeriesStore, selection: SeriesSelection) {
    this.#store = store;
    this.#selection = selection;
  }

  collect(): Promise<CollectionResult> {
    return Promise.resolve({ resourceMetrics: this.collectHost(), errors: [] });
  }

  collectHost(): ResourceMetrics {
    return this.#store.collectHost({ ...this.#selection, after: this.after });
  }

  collectRuntimes(): readonly ResourceMetrics[] {
    return this.#store.collectRuntimes({ ...this.#selection, after: this.after });
  }
}

/**
 * The reader of one period: its tick comes from the scheduler, or from a stream, right after the groups were sampled.
 * The SDK's collect merges the agent's own instruments with the store's producer; a reader has one resource only,
 * so the points of Neuron processes follow with resources of their own.
 */
export class TickReader extends MetricReader {
  readonly periodMs: number;
  readonly groups: ReadonlySet<MetricGroup>;
  readonly #options: TickReaderOptions;
  readonly #producer: StoreProducer;
  #busy: Promise<void> | undefined;
  #isWaiting = false;
  /** Time of the self-metrics that were exported last. */
  #selfTimeMs: number | undefined;

  constructor(options: TickReaderOptions) {
    const producer = new StoreProducer(options.store, { groups: options.groups });
    super({ metricProducers: [producer] });
    this.periodMs = options.periodMs;
    this.groups = options.groups;
    this.#options = options;
    this.#producer = producer;
    producer.after = options.after ?? 0;
  }

  /**
   * Collects what is new and hands it to every exporter. Never overlaps itself and never rejects. While exports are under way a tick
   * waits for them, so that no record of a stream is left out; only one waits at a time, and what comes meanwhile is skipped and counted.
   */
  tick(): Promise<void> {
    const before = this.#busy;
    if (before === undefined) return this.#start(this.#run());
    if (this.#isWaiting) {
      this.#options.observer.skipped(this.periodMs);
      return before;
    }
    this.#isWaiting = true;
    return this.#start(
      before.then(() => {
        this.#isWaiting = false;
        return this.#run();
      }),
    );
  }

  #start(run: Promise<void>): Promise<void> {
    this.#busy = run;
    return run.finally(() => {
      if (this.#busy === run) this.#busy = undefined;
    });
  }

  protected override onShutdown(): Promise<void> {
    return this.onForceFlush();
  }

  protected override async onForceFlush(): Promise<void> {
    await this.#busy;
  }

  async #run(): Promise<void> {
    if (this.#options.exporters.length === 0) return;
    const resourceMetrics = await this.#collectNew();
    const exports = this.#options.exporters.map(async (exporter) => {
      this.#options.observer.exported(exporter, await exportSafely(exporter, resourceMetrics));
    });
    await Promise.all(exports);
  }

  async #collectNew(): Promise<readonly ResourceMetrics[]> {
    const { store, selfMetrics } = this.#options;
    let sequence: number;
    let scopeMetrics: ScopeMetrics[];
    do {
      sequence = store.sequence;
      scopeMetrics = selfMetrics ? await this.#collectWithSelf() : this.#producer.collectHost().scopeMetrics;
      // The SDK is asked again when a cycle ended meanwhile: a request holds one cycle, and the next request none of it.
    } while (store.sequence !== sequence);
    const runtimes = this.#producer.collectRuntimes();
    this.#producer.after = sequence;
    return scopeMetrics.length === 0 ? runtimes : [{ resource: store.hostResource, scopeMetrics }, ...runtimes];
  }

  async #collectWithSelf(): Promise<ScopeMetrics[]> {
    const { sampleClock } = this.#options;
    const { resourceMetrics } = await this.collect();
    // Nothing was sampled since the last tick: this one has a time of its own.
    if (sampleClock.lastMs === undefined || sampleClock.lastMs === this.#selfTimeMs) sampleClock.next(Infinity);
    this.#selfTimeMs = sampleClock.lastMs;
    stampSelfMetrics(resourceMetrics.scopeMetrics, sampleClock);
    return resourceMetrics.scopeMetrics;
  }
}

export interface PullReaderOptions {
  readonly store: SeriesStore;
  readonly sampleClock: SampleClock;
  readonly legacy?: boolean;
}

/** `PullReader` reads everything that is live, for scrapes and for one-shot output; with `legacy`, also what feeds legacy families only. */
export class PullReader extends MetricReader {
  readonly #producer: StoreProducer;
  readonly #options: PullReaderOptions;

  constructor(options: PullReaderOptions) {
    const producer = new StoreProducer(options.store, { legacy: options.legacy ?? false });
    super({ metricProducers: [producer] });
    this.#producer = producer;
    this.#options = options;
  }

  /** The host's resource first (self-metrics included when asked for), then one resource for each Neuron process. */
  async snapshot(options: { readonly selfMetrics: boolean }): Promise<readonly ResourceMetrics[]> {
    const { store, sampleClock } = this.#options;
    const { scopeMetrics } = options.selfMetrics ? (await this.collect()).resourceMetrics : this.#producer.collectHost();
    stampSelfMetrics(scopeMetrics, sampleClock);
    return [{ resource: store.hostResource, scopeMetrics }, ...this.#producer.collectRuntimes()];
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
}

export interface ReadersOptions extends PullReaderOptions, Pick<TickReaderOptions, 'exporters' | 'selfMetrics' | 'observer'> {
  readonly telemetry: SelfTelemetry;
  /** The groups of each period. */
  readonly periods: ReadonlyMap<number, ReadonlySet<MetricGroup>>;
  readonly version: string;
}

/** `Readers` are all readers of one configuration: one for each distinct period and one for scrapes, on a provider of their own. */
export class Readers {
  readonly #ticking: readonly TickReader[];
  readonly #pulling: PullReader;
  readonly #provider: MeterProvider;

  constructor(options: ReadersOptions) {
    const after = options.store.sequence;
    this.#ticking = [...options.periods].map(([periodMs, groups]) => {
      const selfMetrics = options.selfMetrics && groups.has('instance_info');
      return new TickReader({ ...options, groups, periodMs, selfMetrics, after });
    });
    this.#pulling = new PullReader(options);
    this.#provider = new MeterProvider({ readers: [...this.#ticking, this.#pulling] });
    options.telemetry.register(this.#provider.getMeter(SELF_SCOPE, options.version));
  }

  /** Ticks every reader that has a group that `wants` accepts. */
  async tick(wants: (group: MetricGroup) => boolean): Promise<void> {
    const due = this.#ticking.filter((reader) => [...reader.groups].some((group) => wants(group)));
    await Promise.all(due.map((reader) => reader.tick()));
  }

  snapshot(options: { readonly selfMetrics: boolean }): Promise<readonly ResourceMetrics[]> {
    return this.#pulling.snapshot(options);
  }

  /** Resolves when the exports under way have ended. */
  async settle(): Promise<void> {
    await this.#provider.forceFlush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#provider.shutdown();
  }
}

/**
 * Gives the agent's own metrics the time of the last cycle. The SDK stamps them with the time of the collection, later than the samples of the
 * same resource, and with a start that stays when the wall clock is set back. The SDK makes these points anew for each collection.
 */
function stampSelfMetrics(scopeMetrics: readonly ScopeMetrics[], { lastMs, selfStartMs }: SampleClock): void {
  if (lastMs === undefined) return;
  const times = { startTime: hrTimeFromMs(selfStartMs), endTime: hrTimeFromMs(lastMs) };
  for (const { metrics } of scopeMetrics) {
    for (const { descriptor, dataPoints } of metrics)
      if (definitionOf(descriptor) === undefined) for (const point of dataPoints) Object.assign(point, times);
  }
}

export function countPoints(resourceMetrics: readonly ResourceMetrics[]): number {
  let points = 0;
  for (const { scopeMetrics } of resourceMetrics)
    for (const { metrics } of scopeMetrics) for (const metric of metrics) points += metric.dataPoints.length;
  return points;
}

async function exportSafely(exporter: PushExporter, resourceMetrics: readonly ResourceMetrics[]): Promise<ExportOutcome> {
  try {
    return await exporter.export({ resourceMetrics });
  } catch (thrown) {
    return { outcome: 'failed', points: countPoints(resourceMetrics), error: AgentError.from(thrown, 'internal', exporter.id) };
  }
}
