import { CORE_COUNTER, coreCounterAt } from './layout.ts';
import type { DatastoreView } from './layout.ts';

/** neuron-monitor's percentiles and its rank rule: `sorted[floor((n - 1) × q)]`, no interpolation (holds for every published capture). */
const QUANTILES = [
  ['p0', 0],
  ['p1', 0.01],
  ['p25', 0.25],
  ['p50', 0.5],
  ['p75', 0.75],
  ['p99', 0.99],
  ['p100', 1],
] as const;

/** Latencies seen in one period; each stands for the executions since the one before. */
export interface LatencySample {
  readonly seconds: number;
  readonly weight: number;
}

export interface SeenLatencies {
  readonly device: readonly LatencySample[];
  readonly total: readonly LatencySample[];
  /** Executions whose own latency was seen. */
  readonly seen: number;
  readonly completed: number;
}

export interface LatencySummary {
  /** Seconds by percentile name. */
  readonly device?: Readonly<Record<string, number>>;
  readonly total?: Readonly<Record<string, number>>;
  /** Executions whose own latency was seen ÷ executions that completed, 0…1. */
  readonly coverage: number;
}

/** Beyond this many samples in one period of one process, further ones only lower the coverage. */
const MAX_SAMPLES = 16_384;

/** Between two looks; a decrease of the counter's low half appears as more. */
const MAX_BELIEVABLE_EXECUTIONS = 2 ** 31;

/** Percentiles of weighted samples by the rank rule; undefined without samples. */
export function percentiles(samples: readonly LatencySample[]): Readonly<Record<string, number>> | undefined {
  const sorted = samples.toSorted(byDuration);
  let count = 0;
  for (const { weight } of sorted) count += weight;
  if (count === 0) return undefined;
  const found: Record<string, number> = {};
  let index = 0;
  let passed = sorted[0]?.weight ?? 0;
  // Ranks rise: one walk finds them all.
  for (const [name, quantile] of QUANTILES) {
    const rank = Math.floor((count - 1) * quantile);
    while (passed <= rank && index + 1 < sorted.length) {
      index += 1;
      passed += sorted[index]?.weight ?? 0;
    }
    const sample = sorted[index];
    if (sample !== undefined) found[name] = sample.seconds;
  }
  return found;
}

/** A comparison that gives small whole numbers makes no garbage; a difference would, for each pair. */
function byDuration(a: LatencySample, b: LatencySample): number {
  if (a.seconds === b.seconds) return 0;
  return a.seconds < b.seconds ? -1 : 1;
}

/** Latencies of one process on several devices as one; undefined when nothing completed. */
export function summarize(datastores: readonly SeenLatencies[]): LatencySummary | undefined {
  const completed = datastores.reduce((sum, datastore) => sum + datastore.completed, 0);
  if (completed === 0) return undefined;
  const device = percentiles(datastores.flatMap((datastore) => datastore.device));
  const total = percentiles(datastores.flatMap((datastore) => datastore.total));
  return {
    coverage: datastores.reduce((sum, datastore) => sum + datastore.seen, 0) / completed,
    ...(device !== undefined && { device }),
    ...(total !== undefined && { total }),
  };
}

/** A latency slot as the seconds of the last execution. A plain count read as a double is far below any latency, or none. */
export function latencySeconds(value: number | undefined): number | undefined {
  return value !== undefined && value > 1e-9 && value < 86_400 ? value : undefined;
}

/**
 * Watches the latency counters of one datastore while it is mapped. The runtime keeps only the last execution's latency, so they are
 * read many times a second, and a value is taken whenever the count of completed executions moved.
 */
export class LatencyWatch {
  readonly #mapping: DatastoreView;
  readonly #cores: { readonly completedAt: number; readonly deviceAt: number; readonly totalAt: number; before: number | undefined }[];
  #device: LatencySample[] = [];
  #total: LatencySample[] = [];
  #seen = 0;
  #completed = 0;

  constructor(mapping: DatastoreView, coreCount: number) {
    this.#mapping = mapping;
    this.#cores = Array.from({ length: coreCount }, (_, core) => ({
      // The low half of the counter is enough to see it move.
      completedAt: coreCounterAt(core, CORE_COUNTER.completed) / 4,
      deviceAt: coreCounterAt(core, CORE_COUNTER.latencyDevice) / 8,
      totalAt: coreCounterAt(core, CORE_COUNTER.latencyTotal) / 8,
      before: undefined,
    }));
  }

  /**
   * One load for each core, three when something completed; from the mapping, or from a copy of it. Returns the most executions any core
   * completed since the last look.
   */
  poll({ words, doubles }: DatastoreView = this.#mapping): number {
    let most = 0;
    for (const core of this.#cores) {
      const completed = words[core.completedAt];
      const { before } = core;
      if (completed === undefined || completed === before) continue;
      core.before = completed;
      if (before === undefined) continue;
      const executions = (completed - before) >>> 0;
      // A count that fell belongs to another process: the datastore was given away, and is about to be left.
      if (executions > MAX_BELIEVABLE_EXECUTIONS) continue;
      this.#take(executions, latencySeconds(doubles[core.deviceAt]), latencySeconds(doubles[core.totalAt]));
      most = Math.max(most, executions);
    }
    return most;
  }

  /** Returns the latencies since the last call. */
  take(): SeenLatencies {
    const taken = { device: this.#device, total: this.#total, seen: this.#seen, completed: this.#completed };
    this.#device = [];
    this.#total = [];
    this.#seen = 0;
    this.#completed = 0;
    return taken;
  }

  #take(executions: number, device: number | undefined, total: number | undefined): void {
    this.#completed += executions;
    if (this.#device.length >= MAX_SAMPLES) return;
    if (device !== undefined) this.#device.push({ seconds: device, weight: executions });
    if (total !== undefined) this.#total.push({ seconds: total, weight: executions });
    if (device !== undefined || total !== undefined) this.#seen += 1;
  }
}

/** Executions a millisecond apart are still told apart; most are further apart, and every look costs. */
const SHORTEST_MS = 1;
const LONGEST_MS = 16;
/** After so many looks without a miss the next one may come later. */
const CALM_LOOKS = 250;

/** How often latencies are looked at: as seldom as no execution is missed. */
export class PollPace {
  #intervalMs = LONGEST_MS;
  #calmLooks = 0;

  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** `most` executions completed on one core since the last look; all but one were missed. */
  looked(most: number): void {
    if (most > 1) {
      this.#intervalMs = Math.max(SHORTEST_MS, this.#intervalMs / 2);
      this.#calmLooks = 0;
      return;
    }
    this.#calmLooks += 1;
    if (this.#calmLooks < CALM_LOOKS) return;
    this.#intervalMs = Math.min(LONGEST_MS, this.#intervalMs * 2);
    this.#calmLooks = 0;
  }
}
