import { asObject, asObjects, isObject, parseObject } from '../../e2e/support/json.ts';
import type { JsonObject } from '../../e2e/support/json.ts';

/**
 * wandb's view of neuron-monitor, restated. Source: wandb/wandb, core/internal/monitor/trainium.go: of the latest line it takes the entry of
 * its own pid, or the first entry when LOCAL_RANK is set, and gives no row when cores or memory are missing from it.
 */
export interface WandbOptions {
  readonly pid: number;
  readonly localRank?: number;
}

/** One row of `trn.*` values; undefined when the line gives none. */
export function wandbRow(line: string, { pid, localRank }: WandbOptions): Readonly<Record<string, number>> | undefined {
  const runtimes = asObjects(parseObject(line)['neuron_runtime_data'] ?? [], 'neuron_runtime_data');
  const report = runtimes.find((runtime) => runtime['pid'] === pid || localRank !== undefined)?.['report'];
  const cores = member(report, 'neuroncore_counters', 'neuroncores_in_use');
  const used = member(report, 'memory_used', 'neuron_runtime_used_bytes');
  const breakdown = member(used, 'usage_breakdown');
  if (cores === undefined || used === undefined || breakdown === undefined) return undefined;
  const isWanted = (core: string): boolean => localRank === undefined || Number(core) === localRank;
  const row: Record<string, number> = {
    'trn.host_total_memory_usage': integer(used['host']),
    'trn.neuron_device_total_memory_usage': integer(used['neuron_device']),
  };
  for (const [kind, bytes] of Object.entries(member(breakdown, 'host') ?? {})) row[`trn.host_memory_usage.${kind}`] = integer(bytes);
  for (const [core, counters] of Object.entries(cores))
    if (isWanted(core)) row[`trn.${core}.neuroncore_utilization`] = Number(asObject(counters, core)['neuroncore_utilization']);
  for (const [core, kinds] of Object.entries(member(breakdown, 'neuroncore_memory_usage') ?? {}))
    if (isWanted(core))
      for (const [kind, bytes] of Object.entries(asObject(kinds, core)))
        row[`trn.${core}.neuroncore_memory_usage.${kind}`] = integer(bytes);
  return row;
}

/** The environment record: device counts of the first line that has hardware. */
export function wandbEnvironment(line: string): { readonly devices: number; readonly coresPerDevice: number } | undefined {
  const hardware = parseObject(line)['neuron_hardware_info'];
  if (!isObject(hardware)) return undefined;
  return { devices: integer(hardware['neuron_device_count']), coresPerDevice: integer(hardware['neuroncore_per_device_count']) };
}

/** Bytes and counts go into integers of Go and Rust: a fraction stops the decoder. */
function integer(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new TypeError(`${String(value)} is not an integer`);
  return value;
}

function member(value: unknown, ...names: readonly string[]): JsonObject | undefined {
  let inner = value;
  for (const name of names) inner = isObject(inner) ? inner[name] : undefined;
  return isObject(inner) ? inner : undefined;
}
