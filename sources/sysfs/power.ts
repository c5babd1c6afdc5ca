import type { DevicePower } from '../../src/readings.ts';

/** What `stats/power/utilization` says: a sample, nothing yet, or something that is no answer. */
export type PowerAnswer =
  | { readonly kind: 'sample'; readonly power: DevicePower }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' };

/**
 * Parses `STATUS,epoch,min,max,avg` (Neuron sysfs user guide). The status is compared whole: INVALID contains VALID.
 */
export function parsePower(text: string): PowerAnswer {
  const [status, epoch, ...percents] = text.split(',').map((field) => field.trim());
  if (status === 'POWER_STATUS_NO_DATA' || status === 'POWER_STATUS_INVALID') return { kind: 'none' };
  if (status !== 'POWER_STATUS_VALID' || epoch === undefined || !/^\d{1,12}$/.test(epoch)) return { kind: 'malformed' };
  const [min, max, avg] = percents.map((percent) => (/^\d{1,4}(\.\d{1,4})?$/.test(percent) ? Number(percent) : NaN));
  if (percents.length !== 3 || min === undefined || max === undefined || avg === undefined) return { kind: 'malformed' };
  if (Number.isNaN(min + max + avg) || min > max) return { kind: 'malformed' };
  return { kind: 'sample', power: { epoch_seconds: Number(epoch), min, max, avg } };
}

/** The driver publishes a sample a minute; it is asked again this long after the last one became known, and then more often. */
const NEXT_SAMPLE_MS = 60_500;
const RETRY_MS = 5_000;
/** A sample that was not followed by another for this long says nothing about now. */
const STALE_MS = 180_000;

/** Decides when to ask for power, and how long the last answer holds. One sample has one epoch, however often it is read. */
export class PowerSchedule {
  #latest: { readonly power: DevicePower; readonly knownSinceMs: number } | undefined;
  #askAtMs = 0;

  isDue(monotonicMs: number): boolean {
    return monotonicMs >= this.#askAtMs;
  }

  answered(answer: PowerAnswer, monotonicMs: number): void {
    this.#askAtMs = monotonicMs + RETRY_MS;
    if (answer.kind !== 'sample') {
      this.#latest = undefined;
    } else if (answer.power.epoch_seconds !== this.#latest?.power.epoch_seconds) {
      const isFirst = this.#latest === undefined;
      this.#latest = { power: answer.power, knownSinceMs: monotonicMs };
      // The first one may be old already.
      if (!isFirst) this.#askAtMs = monotonicMs + NEXT_SAMPLE_MS;
    }
  }

  current(monotonicMs: number): DevicePower | undefined {
    const latest = this.#latest;
    return latest === undefined || monotonicMs - latest.knownSinceMs > STALE_MS ? undefined : latest.power;
  }
}
