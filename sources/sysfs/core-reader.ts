import type { DeviceCore, NumberMap } from '../../src/readings.ts';
import type { CoreActivity } from './busy-time.ts';
import type { CoreNodes, MemoryNodes, SysfsDetail } from './inventory.ts';
import type { Sweep } from './sweep.ts';

/** Where drivers before 2.17 put what they do not tell apart. */
const UNCATEGORIZED = 'uncategorized';

export interface CoreReading {
  readonly nodes: CoreNodes;
  /** The last reading of the same nodes. */
  readonly before: DeviceCore | undefined;
  readonly activity: CoreActivity;
  readonly detail: SysfsDetail;
  /** The driver updates the datastore's counters while applications run, not only when they end. */
  readonly countersAreLive: boolean;
  readonly monotonicMs: number;
}

/** Reads one core. Written out, not spread: there are more than a hundred in each cycle. */
export function readCore(sweep: Sweep, { nodes, before, activity, detail, countersAreLive, monotonicMs }: CoreReading): DeviceCore {
  const { memory, status, other } = nodes;
  const core: { -readonly [Member in keyof DeviceCore]: DeviceCore[Member] } = {};
  const usage = readMemory(sweep, memory, before?.memory);
  if (usage !== undefined) core.memory = usage;
  const peaks = detail.peaks ? sweep.counts(memory.peaks, before?.memory_peak) : undefined;
  if (peaks !== undefined) core.memory_peak = peaks;
  const events = detail.events ? sweep.counts(status, before?.events) : undefined;
  const executions = countersAreLive ? readExecutions(sweep, nodes, events) : undefined;
  if (countersAreLive) {
    const busyTime = sweep.wide(other.nc_time_in_use);
    const flopCount = sweep.wide(other.flop_count);
    const { flops, utilization } = activity.next({ busyTime, flops: flopCount, completions: executions?.['completed'] }, monotonicMs);
    if (flops !== undefined) core.flops = flops;
    if (utilization !== undefined) core.utilization = utilization;
  }
  if (executions !== undefined) core.executions = executions;
  if (events !== undefined) core.events = events;
  const modelLoads = sweep.count(other.model_load_count);
  if (modelLoads !== undefined) core.model_loads = modelLoads;
  const resetRequests = sweep.count(other.reset_req_count);
  if (resetRequests !== undefined) core.reset_requests = resetRequests;
  return core;
}

/** Bytes by kind. Drivers without a kind for the rest (before 2.17) state it only in the total over all kinds. */
export function readMemory(sweep: Sweep, memory: MemoryNodes, before: NumberMap | undefined): NumberMap | undefined {
  if (memory.all === undefined || memory.kinds.has(UNCATEGORIZED)) return sweep.counts(memory.kinds, before);
  const kinds = sweep.counts(memory.kinds);
  const all = sweep.count(memory.all);
  if (all === undefined) return kinds;
  let rest = all;
  for (const bytes of Object.values(kinds ?? {})) rest -= bytes;
  return { ...kinds, [UNCATEGORIZED]: Math.max(0, rest) };
}

function readExecutions(sweep: Sweep, nodes: CoreNodes, events: NumberMap | undefined): NumberMap | undefined {
  let executions: Record<string, number> | undefined;
  for (const { outcome, name, file } of nodes.outcomes) {
    const total = events === undefined ? sweep.count(file) : events[name];
    if (total !== undefined) (executions ??= {})[outcome] = total;
  }
  return executions;
}
