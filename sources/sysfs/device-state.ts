import type { DeviceHealth, DevicePower } from '../../src/readings.ts';

/** An error register reads 0xdeadbeef, whole or one of its halves, while the device is in reset. Later drivers turn that into 0. */
const IN_RESET: ReadonlySet<number> = new Set([0xdeadbeef, 0xdead, 0xbeef]);

/** A zero after a positive count is believed when it has lasted this long; a reset of the device takes seconds. */
export const DIP_MS = 30_000;

/**
 * `ErrorCounter` follows one ECC counter of the device's firmware. While the device is in reset the counter reads zero and comes back
 * afterwards: such a dip is no value, or the errors before it would be counted twice. A counter that really began anew stays lower.
 */
export class ErrorCounter {
  #highest = 0;
  #zeroSinceMs: number | undefined;

  /** Returns the count to report, or undefined while it is not known. */
  next(value: number, monotonicMs: number): number | undefined {
    if (IN_RESET.has(value)) return undefined;
    if (value === 0 && this.#highest > 0) {
      this.#zeroSinceMs ??= monotonicMs;
      if (monotonicMs - this.#zeroSinceMs < DIP_MS) return undefined;
    }
    this.#zeroSinceMs = undefined;
    this.#highest = value;
    return value;
  }
}

/** Content of `power/utilization`: a sample, nothing yet, or something that the driver would not print. */
export type PowerAnswer =
  | { readonly kind: 'sample'; readonly power: DevicePower }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' };

/**
 * Parses `STATUS,epoch,min,max,avg` (Neuron sysfs user guide). The status is compared whole: INVALID contains VALID.
 * A share of maximum power above 100 %, and an average outside of its minimum and maximum, are not possible.
 */
export function parsePower(text: string): PowerAnswer {
  const [status, epoch, ...percents] = text.split(',').map((field) => field.trim());
  if (status === 'POWER_STATUS_NO_DATA' || status === 'POWER_STATUS_INVALID') return { kind: 'none' };
  if (status !== 'POWER_STATUS_VALID' || epoch === undefined || !/^\d{1,12}$/.test(epoch)) return { kind: 'malformed' };
  const [min, max, avg] = percents.map((percent) => (/^\d{1,4}(\.\d{1,4})?$/.test(percent) ? Number(percent) : NaN));
  if (percents.length !== 3 || min === undefined || max === undefined || avg === undefined) return { kind: 'malformed' };
  if (Number.isNaN(min + max + avg) || min > avg || avg > max || max > 100) return { kind: 'malformed' };
  return { kind: 'sample', power: { epoch_seconds: Number(epoch), min, max, avg } };
}

/** The driver publishes a sample a minute; it is asked again this long after the last one became known, and then more often. */
const NEXT_SAMPLE_MS = 60_500;
const RETRY_MS = 5_000;
/** A sample that was not followed by another for this long is out of date. */
const STALE_MS = 180_000;

/** `PowerSchedule` decides when power is read and how long a sample counts. One sample has one epoch, however often it is read. */
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

/** Printed instead of a value when the driver cannot read the firmware's health registers (driver source neuron_sysfs_metrics.c, 2.30). */
const UNREACHABLE = 'device_unreachable';
/** How often the firmware advances its heartbeat is not documented; a minute without one is no working firmware. */
export const HEARTBEAT_STALLED_MS = 60_000;
const MAX_COMPONENTS = 64;

/** `HealthState` derives the state of one device from the health files of its firmware, and from the time since its heartbeat moved. */
export class HealthState {
  #heartbeat: string | undefined;
  #beatSinceMs = 0;

  /** Takes the texts of `unhealthy_components` and `healthcheck_heartbeat`; undefined for one that could not be read. */
  next(components: string | undefined, heartbeat: string | undefined, monotonicMs: number): DeviceHealth {
    if (heartbeat !== this.#heartbeat) {
      this.#heartbeat = heartbeat;
      this.#beatSinceMs = monotonicMs;
    }
    if (components === UNREACHABLE || heartbeat === UNREACHABLE) {
      return { state: 'unhealthy', reason: UNREACHABLE, unhealthy_components: [] };
    }
    const names = components === undefined ? undefined : parseComponents(components);
    if (names === undefined) return { state: 'unknown', reason: 'unreadable', unhealthy_components: [] };
    if (names.length > 0) return { state: 'unhealthy', reason: 'components', unhealthy_components: names };
    if (heartbeat !== undefined && monotonicMs - this.#beatSinceMs >= HEARTBEAT_STALLED_MS) {
      return { state: 'unknown', reason: 'heartbeat_stalled', unhealthy_components: [] };
    }
    return { state: 'healthy', unhealthy_components: [] };
  }
}

/** Parses a comma list of names, which is empty when all is well; undefined when it is something else. */
export function parseComponents(text: string): readonly string[] | undefined {
  if (text === '') return [];
  const names = text.split(',').map((name) => name.trim());
  return names.length <= MAX_COMPONENTS && names.every((name) => /^[a-z][a-z0-9_]{0,63}$/.test(name)) ? names : undefined;
}
