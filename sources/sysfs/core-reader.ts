import type { DeviceCore, NumberMap } from '../../src/report.ts';
import type { CoreActivity } from './busy-time.ts';
import type { CoreNodes, MemoryNodes, SysfsDetail } from './inventory.ts';
import { OUTCOMES } from './roles.ts';
import type { Sweep } from './sweep.ts';

/** Where drivers before 2.17 put what they do not tell apart. */
const UNCATEGORIZED = 'uncategorized';

export interface CoreReading {
  readonly nodes: CoreNodes;
  readonly activity: CoreActivity;
  readonly detail: SysfsDetail;
  /** The driver updates the datastore's counters while applications run, not only when they end. */
  readonly countersAreLive: boolean;
  readonly monotonicMs: number;
}

/** Reads one core. */
export function readCore(sweep: Sweep, { nodes, activity, detail, countersAreLive, monotonicMs }: CoreReading): DeviceCore {
  const { memory, status, other } = nodes;
  const usage = readMemory(sweep, memory);
  const peaks = detail.peaks ? sweep.counts(memory.peaks) : undefined;
  const events = detail.events ? sweep.counts(status) : undefined;
  const executions = countersAreLive ? readExecutions(sweep, nodes, events) : undefined;
  const modelLoads = sweep.count(other.get('model_load_count'));
  const resetRequests = sweep.count(other.get('reset_req_count'));
  const rates = countersAreLive
    ? activity.next(
        {
          busyTime: sweep.wide(other.get('nc_time_in_use')),
          flops: sweep.wide(other.get('flop_count')),
          completions: executions?.['completed'],
        },
        monotonicMs,
      )
    : undefined;
  return {
    ...(usage !== undefined && { memory: usage }),
    ...(peaks !== undefined && { memory_peak: peaks }),
    ...rates,
    ...(executions !== undefined && { executions }),
    ...(events !== undefined && { events }),
    ...(modelLoads !== undefined && { model_loads: modelLoads }),
    ...(resetRequests !== undefined && { reset_requests: resetRequests }),
  };
}

/** Bytes by kind. Drivers without a kind for the rest (before 2.17) state it only in the total over all kinds. */
export function readMemory(sweep: Sweep, memory: MemoryNodes): NumberMap | undefined {
  const kinds = sweep.counts(memory.kinds);
  if (memory.all === undefined || memory.kinds.has(UNCATEGORIZED)) return kinds;
  const all = sweep.count(memory.all);
  if (all === undefined) return kinds;
  let rest = all;
  for (const bytes of Object.values(kinds ?? {})) rest -= bytes;
  return { ...kinds, [UNCATEGORIZED]: Math.max(0, rest) };
}

function readExecutions(sweep: Sweep, nodes: CoreNodes, events: NumberMap | undefined): NumberMap | undefined {
  let executions: Record<string, number> | undefined;
  for (const [outcome, name] of OUTCOMES) {
    const total = events === undefined ? sweep.count(nodes.status.get(name)) : events[name];
    if (total !== undefined) (executions ??= {})[outcome] = total;
  }
  return executions;
}
