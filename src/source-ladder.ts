import type { Clock } from './host.ts';
import type { MetricGroup } from './readings.ts';
import type { PullSource } from './source.ts';

export interface SourceLadderOptions {
  readonly clock: Clock;
  /** In order of preference. */
  readonly pullSources: () => readonly PullSource[];
  /** Configured period of a group: the time to its second arrival is not known yet at its first. */
  readonly periodMs: (group: MetricGroup) => number;
  /** A source threw when it was asked what it serves; it serves nothing this time. */
  readonly failed: (source: PullSource, thrown: unknown) => void;
}

/** A group of the stream counts as served for this many of its intervals after its last arrival. */
const STREAM_GRACE_INTERVALS = 1.5;
const SHORTEST_GRACE_MS = 1_000;
const SHORTEST_FIRST_INTERVAL_MS = 10_000;

interface Arrival {
  atMs: number;
  intervalMs: number;
}

/**
 * Decides for each group which source serves it, so that no two ever do. The stream comes before all others for what it
 * really delivers; when it falls silent the next source that has the group takes over, and steps back when it returns.
 */
export class SourceLadder {
  readonly #options: SourceLadderOptions;
  readonly #arrivals = new Map<MetricGroup, Arrival>();

  constructor(options: SourceLadderOptions) {
    this.#options = options;
  }

  /** The stream just brought these groups. */
  streamDelivered(groups: ReadonlySet<MetricGroup>): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const group of groups) {
      const before = this.#arrivals.get(group);
      const intervalMs = before === undefined ? this.#firstIntervalMs(group) : nowMs - before.atMs;
      this.#arrivals.set(group, { atMs: nowMs, intervalMs });
    }
  }

  #firstIntervalMs(group: MetricGroup): number {
    return Math.max(SHORTEST_FIRST_INTERVAL_MS, this.#options.periodMs(group));
  }

  streamServes(group: MetricGroup): boolean {
    const arrival = this.#arrivals.get(group);
    if (arrival === undefined) return false;
    const graceMs = Math.max(SHORTEST_GRACE_MS, arrival.intervalMs * STREAM_GRACE_INTERVALS);
    return this.#options.clock.monotonicMs() - arrival.atMs < graceMs;
  }

  /** The pull source for each due group that the stream does not serve; groups that no source has are left out. */
  assign(due: ReadonlySet<MetricGroup>): ReadonlyMap<PullSource, ReadonlySet<MetricGroup>> {
    const assignments = new Map<PullSource, Set<MetricGroup>>();
    const offers = this.#options.pullSources().map((source) => ({ source, groups: this.#groupsOf(source) }));
    for (const group of due) {
      if (this.streamServes(group)) continue;
      const offer = offers.find(({ groups }) => groups.has(group));
      if (offer === undefined) continue;
      const groups = assignments.get(offer.source);
      if (groups === undefined) assignments.set(offer.source, new Set([group]));
      else groups.add(group);
    }
    return assignments;
  }

  #groupsOf(source: PullSource): ReadonlySet<MetricGroup> {
    try {
      return source.groups();
    } catch (thrown) {
      this.#options.failed(source, thrown);
      return new Set();
    }
  }
}
