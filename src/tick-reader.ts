import type { HrTime } from '@opentelemetry/api';
import { DataPointType, MetricReader } from '@opentelemetry/sdk-metrics';
import type { CollectionResult, MetricProducer, ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from './errors.ts';
import type { ExportOutcome, PushExporter } from './exporter.ts';
import type { MetricGroup } from './readings.ts';
import { SELF_SCOPE } from './self-metrics.ts';
import type { SeriesSelection, SeriesStore } from './series-store.ts';

/** What a reader tells the agent about its work. */
export interface TickObserver {
  exported(exporter: PushExporter, outcome: ExportOutcome): void;
  /** A tick was waiting for exports to end already: this one was left out; that one carries the latest values. */
  skipped(periodMs: number): void;
}

export interface TickReaderOptions {
  readonly store: SeriesStore;
  readonly groups: ReadonlySet<MetricGroup>;
  readonly periodMs: number;
  readonly exporters: readonly PushExporter[];
  /** Exactly one reader of an agent exports the agent's own metrics. */
  readonly selfMetrics: boolean;
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
 * The SDK's collect merges the agent's own instruments with the store's producer; a reader knows one resource only,
 * so the points of Neuron processes follow with resources of their own.
 */
export class TickReader extends MetricReader {
  readonly periodMs: number;
  readonly groups: ReadonlySet<MetricGroup>;
  readonly #options: TickReaderOptions;
  readonly #producer: StoreProducer;
  #busy: Promise<void> | undefined;
  #isWaiting = false;
  #selfTime: HrTime = [0, 0];

  constructor(options: TickReaderOptions) {
    const producer = new StoreProducer(options.store, { groups: options.groups });
    super({ metricProducers: [producer] });
    this.periodMs = options.periodMs;
    this.groups = options.groups;
    this.#options = options;
    this.#producer = producer;
  }

  /**
   * Collects what is new and hands it to every exporter. Never overlaps itself and never rejects. While exports are under way a tick
   * waits for them, so that no record of a stream is left out; only one waits at a time, and what comes meanwhile is skipped and told.
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
    const sequence = this.#options.store.sequence;
    const host = this.#options.selfMetrics ? (await this.collect()).resourceMetrics : this.#producer.collectHost();
    const runtimes = this.#producer.collectRuntimes();
    this.#producer.after = sequence;
    if (host.scopeMetrics.length === 0) return runtimes;
    return [{ resource: this.#options.store.hostResource, scopeMetrics: this.#atSampleTime(host.scopeMetrics) }, ...runtimes];
  }

  /**
   * The SDK stamps the agent's own metrics with the time of the collection, which is later than every sample. They get the time of the
   * newest sample instead, so that the samples which the next request has of the same resource are not older; but no series gets a time
   * twice, or one before its start.
   */
  #atSampleTime(scopeMetrics: readonly ScopeMetrics[]): ScopeMetrics[] {
    const own = scopeMetrics.filter(({ scope }) => scope.name === SELF_SCOPE);
    const newest = newestTime(scopeMetrics.filter((one) => !own.includes(one)));
    const collected = newestTime(own);
    if (newest === undefined || !isLater(newest, this.#selfTime) || own.some((one) => startsAfter(one, newest))) {
      this.#selfTime = collected ?? this.#selfTime;
      return [...scopeMetrics];
    }
    this.#selfTime = newest;
    return scopeMetrics.map((one) => (own.includes(one) ? atTime(one, newest) : one));
  }
}

/** Everything that is live, for scrapes and for one-shot output; with `legacy`, also what feeds legacy families only. */
export class PullReader extends MetricReader {
  readonly #producer: StoreProducer;
  readonly #store: SeriesStore;

  constructor(store: SeriesStore, options: { readonly legacy?: boolean } = {}) {
    const producer = new StoreProducer(store, options);
    super({ metricProducers: [producer] });
    this.#producer = producer;
    this.#store = store;
  }

  /** The host's resource first (self-metrics included when asked for), then one resource for each Neuron process. */
  async snapshot(options: { readonly selfMetrics: boolean }): Promise<readonly ResourceMetrics[]> {
    const { scopeMetrics } = options.selfMetrics ? (await this.collect()).resourceMetrics : this.#producer.collectHost();
    return [{ resource: this.#store.hostResource, scopeMetrics }, ...this.#producer.collectRuntimes()];
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }
}

export function countPoints(resourceMetrics: readonly ResourceMetrics[]): number {
  let points = 0;
  for (const { scopeMetrics } of resourceMetrics)
    for (const { metrics } of scopeMetrics) for (const metric of metrics) points += metric.dataPoints.length;
  return points;
}

/** Points of one scope share their time, so the first one of each metric is enough. */
function newestTime(scopeMetrics: readonly ScopeMetrics[]): HrTime | undefined {
  let newest: HrTime | undefined;
  for (const { metrics } of scopeMetrics) {
    const time = metrics[0]?.dataPoints[0]?.endTime;
    if (time !== undefined && (newest === undefined || isLater(time, newest))) newest = time;
  }
  return newest;
}

function startsAfter({ metrics }: ScopeMetrics, time: HrTime): boolean {
  return metrics.some(({ dataPoints }) => dataPoints.some(({ startTime }) => isLater(startTime, time)));
}

/** The agent's own instruments are counters and gauges. */
function atTime({ scope, metrics }: ScopeMetrics, time: HrTime): ScopeMetrics {
  const moved = metrics.map((metric) => {
    if (metric.dataPointType !== DataPointType.GAUGE && metric.dataPointType !== DataPointType.SUM) return metric;
    return { ...metric, dataPoints: metric.dataPoints.map((point) => ({ ...point, endTime: time })) };
  });
  return { scope, metrics: moved };
}

function isLater(a: HrTime, b: HrTime): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

async function exportSafely(exporter: PushExporter, resourceMetrics: readonly ResourceMetrics[]): Promise<ExportOutcome> {
  try {
    return await exporter.export({ resourceMetrics });
  } catch (thrown) {
    return { outcome: 'failed', points: countPoints(resourceMetrics), error: AgentError.from(thrown, 'internal', exporter.id) };
  }
}
