import { runtimeKey } from '../../src/readings.ts';
import type { AnyGroupReading, MetricGroup, RuntimeRef } from '../../src/readings.ts';

/** neuron-monitor's period when none is configured. */
const DEFAULT_PERIOD_MS = 5_000;
/** The first record covers a millisecond or less; that is no period to expect again. */
const SHORTEST_PERIOD_MS = 20;
/** Records come a little early or late: arrival jitters, the due time does not. */
const DUE_SHARE = 0.9;

interface Member {
  runtime: RuntimeRef;
  seenAtMs: number;
  readonly periodsMs: Map<MetricGroup, number>;
}

/**
 * Which processes are alive. A record holds only what was due at its tick, so a process that is not listed is gone only when one of
 * its groups was due: with different periods for different groups, a record about the host alone ends no process.
 */
export class RuntimeRoster {
  readonly #members = new Map<string, Member>();

  /** Every process alive after a record that listed `runtimes`. `atMs` is monotonic. */
  update(runtimes: readonly RuntimeRef[], readings: readonly AnyGroupReading[], atMs: number): readonly RuntimeRef[] {
    for (const runtime of runtimes) this.#see(runtime, atMs);
    for (const reading of readings) if (reading.runtime !== undefined) this.#learnPeriod(reading.runtime, reading);
    for (const [key, member] of this.#members) {
      if (atMs - member.seenAtMs >= DUE_SHARE * shortestPeriodMs(member)) this.#members.delete(key);
    }
    return [...this.#members.values()].map((member) => member.runtime);
  }

  #see(runtime: RuntimeRef, atMs: number): void {
    const key = runtimeKey(runtime);
    const member = this.#members.get(key);
    if (member === undefined) {
      this.#members.set(key, { runtime, seenAtMs: atMs, periodsMs: new Map() });
    } else {
      member.runtime = runtime;
      member.seenAtMs = atMs;
    }
  }

  #learnPeriod(runtime: RuntimeRef, reading: AnyGroupReading): void {
    const periodMs = (reading.periodSeconds ?? 0) * 1000;
    if (periodMs < SHORTEST_PERIOD_MS) return;
    this.#members.get(runtimeKey(runtime))?.periodsMs.set(reading.group, periodMs);
  }
}

/** A process that was in the first record only has no period yet. */
function shortestPeriodMs(member: Member): number {
  return member.periodsMs.size === 0 ? DEFAULT_PERIOD_MS : Math.min(...member.periodsMs.values());
}
