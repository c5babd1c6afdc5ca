import type { ResourceMetrics, ScopeMetrics } from '@opentelemetry/sdk-metrics';
import { AgentError } from './errors.ts';
import type { ExportOutcome, PushExporter } from './exporter.ts';
import type { MetricGroup } from './report.ts';
import type { SeriesStore } from './series-store.ts';

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
  /** The agent's own metrics, as they are now. Exactly one reader of an agent exports them. */
  readonly selfMetrics?: () => readonly ScopeMetrics[];
  readonly observer: TickObserver;
}

/**
 * The reader of one period: its tick comes from the scheduler, or from a stream, right after the groups were sampled. The agent's own
 * metrics stand before the host's, and each Neuron process follows with a resource of its own.
 */
export class TickReader {
  readonly periodMs: number;
  readonly groups: ReadonlySet<MetricGroup>;
  readonly #options: TickReaderOptions;
  /** What is not newer than this has been exported. */
  #after = 0;
  #busy: Promise<void> | undefined;
  #isWaiting = false;

  constructor(options: TickReaderOptions) {
    this.periodMs = options.periodMs;
    this.groups = options.groups;
    this.#options = options;
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

  /** Resolves when no export is under way. */
  async idle(): Promise<void> {
    await this.#busy;
  }

  #start(run: Promise<void>): Promise<void> {
    this.#busy = run;
    return run.finally(() => {
      if (this.#busy === run) this.#busy = undefined;
    });
  }

  async #run(): Promise<void> {
    if (this.#options.exporters.length === 0) return;
    const resourceMetrics = this.#collectNew();
    const exports = this.#options.exporters.map(async (exporter) => {
      this.#options.observer.exported(exporter, await exportSafely(exporter, resourceMetrics));
    });
    await Promise.all(exports);
  }

  #collectNew(): readonly ResourceMetrics[] {
    const { store, groups, selfMetrics } = this.#options;
    const sequence = store.sequence;
    const collected = store.collect({ groups, after: this.#after });
    this.#after = sequence;
    const [host, ...runtimes] = withSelfMetrics(collected, store, selfMetrics?.());
    return host === undefined || host.scopeMetrics.length === 0 ? runtimes : [host, ...runtimes];
  }
}

export interface PullReaderOptions {
  /** Also what feeds legacy families only. */
  readonly legacy?: boolean;
  /** The agent's own metrics, as they are now. */
  readonly selfMetrics?: () => readonly ScopeMetrics[];
}

/** Everything that is live, for scrapes and for one-shot output. */
export class PullReader {
  readonly #store: SeriesStore;
  readonly #options: PullReaderOptions;

  constructor(store: SeriesStore, options: PullReaderOptions = {}) {
    this.#store = store;
    this.#options = options;
  }

  /** The host's resource first (self-metrics included when asked for), then one resource for each Neuron process. */
  snapshot(options: { readonly selfMetrics: boolean }): readonly ResourceMetrics[] {
    const { legacy, selfMetrics } = this.#options;
    const collected = this.#store.collect({ after: 0, ...(legacy === undefined ? {} : { legacy }) });
    return withSelfMetrics(collected, this.#store, options.selfMetrics ? selfMetrics?.() : undefined);
  }
}

/** The host's resource comes first, with points or without. */
function withSelfMetrics(
  collected: readonly ResourceMetrics[],
  store: SeriesStore,
  selfMetrics: readonly ScopeMetrics[] = [],
): readonly ResourceMetrics[] {
  const [host, ...runtimes] = collected;
  return [{ resource: store.hostResource, scopeMetrics: [...selfMetrics, ...(host?.scopeMetrics ?? [])] }, ...runtimes];
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
