import { runtimeKey } from '../../src/readings.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from '../../src/readings.ts';

/** A process is kept this long while no period of its groups is known, neither its own nor that of another process. */
const UNKNOWN_PERIOD_MS = 3_600_000;
/** neuron-monitor's period when none is configured. A process may be sampled less often than the others, but not much less, so far. */
const DEFAULT_PERIOD_MS = 5_000;
/** A record arrives a little early or late, so a process is overdue a little before its period is over. */
const DUE_SHARE = 0.9;

interface Member {
  runtime: RuntimeRef;
  seenAtMs: number;
  /** Learned from the second reading of a group on. */
  readonly periods: StreamPeriods;
}

/**
 * `LivingRuntimes` keeps the processes that are alive. A record holds only what was due at its tick, so a process that is not listed is
 * gone only when one of its groups was due: with different periods for different groups, a record about the host alone ends no process.
 */
export class LivingRuntimes {
  readonly #members = new Map<string, Member>();

  /** Returns every process alive after a record that listed `runtimes`. `atMs` is monotonic. */
  update(
    runtimes: readonly RuntimeRef[],
    readings: readonly AnyGroupReading[],
    at: { readonly atMs: number; readonly periods: StreamPeriods },
  ): readonly RuntimeRef[] {
    for (const runtime of runtimes) this.#see(runtime, at.atMs);
    for (const reading of readings)
      if (reading.runtime !== undefined) this.#members.get(runtimeKey(reading.runtime))?.periods.learn([reading]);
    for (const [key, member] of this.#members) {
      if (at.atMs - member.seenAtMs >= DUE_SHARE * periodMs(member, at.periods)) this.#members.delete(key);
    }
    return [...this.#members.values()].map((member) => member.runtime);
  }

  #see(runtime: RuntimeRef, atMs: number): void {
    const key = runtimeKey(runtime);
    const member = this.#members.get(key);
    if (member === undefined) {
      this.#members.set(key, { runtime, seenAtMs: atMs, periods: new StreamPeriods() });
    } else {
      member.runtime = runtime;
      member.seenAtMs = atMs;
    }
  }
}

/** Period after which a process that is not listed is gone: its own, or that of the same groups of other processes. */
function periodMs({ periods }: Member, ofAll: StreamPeriods): number {
  const ownMs = periods.shortestMs();
  if (ownMs !== undefined) return ownMs;
  const othersMs = ofAll.shortestMs(periods.groups);
  return othersMs === undefined ? UNKNOWN_PERIOD_MS : Math.max(othersMs, DEFAULT_PERIOD_MS);
}

/** A first reading that covers less than this holds no information about the period: captures of first records cover 0.7 to 70 ms. */
const SHORTEST_FIRST_PERIOD_MS = 1_000;

/**
 * `StreamPeriods` learns the period of each group from the readings of one stream. The first reading of a group covers the time since the
 * writer began, not a period; so the period is known from the second reading on, or from a first reading that is long enough.
 */
export class StreamPeriods {
  readonly #seen = new Set<MetricGroup>();
  readonly #periodsMs = new Map<MetricGroup, number>();

  learn(readings: readonly AnyGroupReading[]): void {
    const longestMs = new Map<MetricGroup, number>();
    for (const { group, periodSeconds } of readings) {
      if (periodSeconds !== undefined) longestMs.set(group, Math.max(longestMs.get(group) ?? 0, periodSeconds * 1000));
    }
    for (const [group, longest] of longestMs) {
      if (this.#seen.has(group) || longest >= SHORTEST_FIRST_PERIOD_MS) this.#periodsMs.set(group, longest);
      this.#seen.add(group);
    }
  }

  /** Groups with a period that was read, but cannot be known yet. */
  unknownAmong(readings: readonly AnyGroupReading[]): ReadonlySet<MetricGroup> {
    const groups = readings.flatMap(({ group, periodSeconds }) =>
      periodSeconds === undefined || this.#periodsMs.has(group) ? [] : [group],
    );
    return new Set(groups);
  }

  get groups(): ReadonlySet<MetricGroup> {
    return this.#seen;
  }

  /** Shortest period of the groups, or of all groups; undefined while none is known. */
  shortestMs(groups: Iterable<MetricGroup> = this.#seen): number | undefined {
    const known = [...groups].flatMap((group) => this.#periodsMs.get(group) ?? []);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  /** The next readings come from a new writer. */
  restart(): void {
    this.#seen.clear();
    this.#periodsMs.clear();
  }
}
