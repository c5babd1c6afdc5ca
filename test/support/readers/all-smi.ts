import { asObject, asObjects, parseObject } from '../../e2e/support/json.ts';

/**
 * all-smi's view of neuron-monitor, restated. Source: lablup/all-smi, its Neuron reader (0.28.1): it keeps the first line of the child alone,
 * waits two seconds for it, and takes the utilization of each core from it. Of several processes that list a core the last one counts.
 */
export const ALL_SMI_WAIT_MS = 2_000;

/** Core index → percent; a core that is absent has no utilization, which all-smi shows as -1. */
export function allSmiUtilization(firstLine: string): ReadonlyMap<number, number> {
  const utilization = new Map<number, number>();
  for (const runtime of asObjects(parseObject(firstLine)['neuron_runtime_data'] ?? [], 'neuron_runtime_data')) {
    const counters = asObject(asObject(runtime['report'] ?? {}, 'report')['neuroncore_counters'] ?? {}, 'neuroncore_counters');
    if ((runtime['error'] ?? '') !== '' || (counters['error'] ?? '') !== '') continue;
    for (const [core, usage] of Object.entries(asObject(counters['neuroncores_in_use'] ?? {}, 'neuroncores_in_use'))) {
      const percent = Number(asObject(usage, core)['neuroncore_utilization'] ?? 0);
      if (/^\d+$/.test(core) && percent >= 0 && percent <= 100) utilization.set(Number(core), percent);
    }
  }
  return utilization;
}
