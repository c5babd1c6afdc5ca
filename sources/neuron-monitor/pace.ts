import type { Clock } from '../../src/host.ts';
import { FACT_GROUPS, runtimeKey } from '../../src/readings.ts';
import type { AnyGroupReading } from '../../src/readings.ts';
import { pause } from './pause.ts';

/** neuron-monitor's period when none is configured; for records without any group. */
const DEFAULT_PACE_MS = 5_000;
/** A broken period must not stop a replay for ever. */
const LONGEST_PACE_MS = 3_600_000;
/** A file with one record of a millisecond must not spin when it is replayed in a loop. */
const SHORTEST_ROUND_MS = 1_000;
/** Groups of processes that came and went; the oldest are forgotten. */
const MAX_SAMPLES = 8_192;
/** Facts are repeated in every record; a period of theirs says nothing about the record's. */
const FACTS: ReadonlySet<string> = new Set(FACT_GROUPS);

export interface PaceOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** False to keep the record's time without waiting for it. */
  readonly waits: boolean;
}

/**
 * When the records of a file were taken. They carry no timestamps, but each group says how long ago it was sampled before: its
 * `period`. So a record's time is the time of that earlier sample plus the period, also where groups have different periods.
 */
export class Pace {
  readonly #options: PaceOptions;
  readonly #sampledAtMs = new Map<string, number>();
  #recordTimeMs = 0;
  #lastPaceMs: number | undefined;
  #dueMs: number | undefined;
  #atStart = true;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Time of the current record, milliseconds since the first one. */
  get recordTimeMs(): number {
    return this.#recordTimeMs;
  }

  /** The next record is the first of the file again. */
  startOver(): void {
    this.#atStart = true;
    this.#sampledAtMs.clear();
  }

  /** Waits until the record is due. A replay that fell behind goes on from now: it does not catch up in a burst. */
  async before(readings: readonly AnyGroupReading[]): Promise<void> {
    const { clock, signal, waits } = this.#options;
    const paceMs = this.#dueMs === undefined ? 0 : Math.min(this.#paceMs(readings), LONGEST_PACE_MS);
    if (!this.#atStart) this.#lastPaceMs = paceMs;
    this.#atStart = false;
    this.#recordTimeMs += paceMs;
    this.#remember(readings);
    const nowMs = clock.monotonicMs();
    this.#dueMs = Math.max(nowMs, (this.#dueMs ?? nowMs) + paceMs);
    if (waits && this.#dueMs > nowMs) await pause(clock, this.#dueMs - nowMs, signal);
  }

  #paceMs(readings: readonly AnyGroupReading[]): number {
    if (this.#atStart) return Math.max(this.#lastPaceMs ?? 0, SHORTEST_ROUND_MS);
    const times: number[] = [];
    const periods: number[] = [];
    for (const reading of readings) {
      if (reading.periodSeconds === undefined || FACTS.has(reading.group)) continue;
      const before = this.#sampledAtMs.get(sampleKey(reading));
      periods.push(reading.periodSeconds * 1000);
      if (before !== undefined) times.push(before + reading.periodSeconds * 1000);
    }
    if (times.length > 0) return Math.max(0, Math.max(...times) - this.#recordTimeMs);
    return periods.length > 0 ? Math.max(...periods) : (this.#lastPaceMs ?? DEFAULT_PACE_MS);
  }

  #remember(readings: readonly AnyGroupReading[]): void {
    for (const reading of readings) {
      const key = sampleKey(reading);
      this.#sampledAtMs.delete(key);
      this.#sampledAtMs.set(key, this.#recordTimeMs);
    }
    for (const key of this.#sampledAtMs.keys()) {
      if (this.#sampledAtMs.size <= MAX_SAMPLES) break;
      this.#sampledAtMs.delete(key);
    }
  }
}

function sampleKey(reading: AnyGroupReading): string {
  return reading.runtime === undefined ? reading.group : `${reading.group}/${runtimeKey(reading.runtime)}`;
}
