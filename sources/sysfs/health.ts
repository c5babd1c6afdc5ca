import type { DeviceHealth } from '../../src/readings.ts';

/** Printed instead of a value when the driver cannot read the firmware's health registers (driver source neuron_sysfs_metrics.c, 2.30). */
const UNREACHABLE = 'device_unreachable';
/** How often the firmware advances its heartbeat is not documented; a minute without one is no working firmware. */
export const HEARTBEAT_STALLED_MS = 60_000;
const MAX_COMPONENTS = 64;

/** Judges one device from what its firmware says, and from whether it still says anything. */
export class HealthJudge {
  #heartbeat: string | undefined;
  #beatSinceMs = 0;

  /** Texts of `unhealthy_components` and `healthcheck_heartbeat`; undefined for one that could not be read or is not there. */
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

/** A comma list of names, empty when all is well; undefined when it is something else. */
export function parseComponents(text: string): readonly string[] | undefined {
  if (text === '') return [];
  const names = text.split(',').map((name) => name.trim());
  return names.length <= MAX_COMPONENTS && names.every((name) => /^[a-z][a-z0-9_]{0,63}$/.test(name)) ? names : undefined;
}
