import type { DeviceHealth } from '../../src/report.ts';

/** Printed instead of a value when the driver cannot read the firmware's health registers (driver source neuron_sysfs_metrics.c, 2.30). */
const UNREACHABLE = 'device_unreachable';
/** How often the firmware advances its heartbeat is not documented; a minute without one is no working firmware. */
export const HEARTBEAT_STALLED_MS = 60_000;
const MAX_COMPONENTS = 64;

export interface HealthNodes {
  /** Text of `unhealthy_components`; undefined when it could not be read. */
  readonly components: string | undefined;
  /** Text of `healthcheck_heartbeat`; undefined when there is none or it could not be read. */
  readonly heartbeat: string | undefined;
  readonly hwErrorEvents: number | undefined;
}

/** Judges one device from what its firmware says, and from whether it still says anything. */
export class HealthJudge {
  #heartbeat: string | undefined;
  #beatSinceMs = 0;

  next(nodes: HealthNodes, monotonicMs: number): DeviceHealth {
    if (nodes.heartbeat !== this.#heartbeat) {
      this.#heartbeat = nodes.heartbeat;
      this.#beatSinceMs = monotonicMs;
    }
    const hw_error_events = nodes.hwErrorEvents;
    return { ...this.#verdict(nodes, monotonicMs), ...(hw_error_events !== undefined && { hw_error_events }) };
  }

  #verdict(nodes: HealthNodes, monotonicMs: number): DeviceHealth {
    if (nodes.components === undefined) return { state: 'unknown', reason: 'unreadable', unhealthy_components: [] };
    if (nodes.components === UNREACHABLE || nodes.heartbeat === UNREACHABLE) {
      return { state: 'unhealthy', reason: UNREACHABLE, unhealthy_components: [] };
    }
    const components = parseComponents(nodes.components);
    if (components === undefined) return { state: 'unknown', reason: 'unreadable', unhealthy_components: [] };
    if (components.length > 0) return { state: 'unhealthy', reason: 'components', unhealthy_components: components };
    if (nodes.heartbeat !== undefined && monotonicMs - this.#beatSinceMs >= HEARTBEAT_STALLED_MS) {
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
