import type { AnyGroupReading, CoreCounters, RuntimeRef } from '../../src/readings.ts';
import { firstLogicalCore, logicalCoreCount } from './core-numbering.ts';
import type { CoreNumbering } from './core-numbering.ts';
import { memoryUsed } from './memory-reading.ts';
import type { CoreRates, DeviceWork, ExecutionWork, ProcessWork } from './work.ts';

/** One process's work in neuron-monitor's shape. */
export function readingsOf(
  work: ProcessWork,
  runtime: RuntimeRef,
  numbering: CoreNumbering,
  { memoryPeriodSeconds: periodSeconds }: { readonly memoryPeriodSeconds?: number | undefined } = {},
): readonly AnyGroupReading[] {
  const readings: AnyGroupReading[] = [];
  if (work.executions !== undefined) readings.push(executionStats(work.executions, runtime));
  if (work.devices.some(({ memory }) => memory !== undefined)) {
    const data = memoryUsed(work.devices, numbering);
    readings.push({ group: 'memory_used', runtime, data, ...(periodSeconds !== undefined && { periodSeconds }) });
  }
  if (work.devices.some(({ rates }) => rates !== undefined)) readings.push(coreCounters(work.devices, runtime, numbering));
  return readings;
}

function executionStats({ periodSeconds, summary, errors, latency }: ExecutionWork, runtime: RuntimeRef): AnyGroupReading {
  return {
    group: 'execution_stats',
    runtime,
    periodSeconds,
    data: {
      error_summary: errors,
      execution_summary: summary,
      // Nothing completed, nothing has a latency: as neuron-monitor says it, so that the distribution so far stays in view.
      latency_stats: {
        ...(latency?.total !== undefined && { total_latency: latency.total }),
        ...(latency?.device !== undefined && { device_latency: latency.device }),
      },
      ...(latency !== undefined && { latency_coverage: latency.coverage }),
    },
  };
}

function coreCounters(devices: readonly DeviceWork[], runtime: RuntimeRef, numbering: CoreNumbering): AnyGroupReading {
  const cores: Record<number, CoreCounters> = {};
  let periodSeconds = 0;
  for (const { device, rates } of devices) {
    if (rates === undefined) continue;
    periodSeconds = Math.max(periodSeconds, rates.periodSeconds);
    const first = firstLogicalCore(device, numbering);
    const count = logicalCoreCount(rates.cores, numbering);
    for (let index = 0; index < count; index += 1) cores[first + index] = logicalRates(device, rates.cores, index, numbering);
  }
  return { group: 'neuroncore_counters', runtime, periodSeconds, data: { neuroncores_in_use: cores } };
}

/** Logical core `index` of a device. */
function logicalRates(device: number, cores: readonly CoreRates[], index: number, numbering: CoreNumbering): CoreCounters {
  const { coresPerDevice, logicalCoreConfig: size } = numbering;
  let flops = 0;
  let shares = 0;
  let isKnown = true;
  const physicalCores: Record<number, number> = {};
  for (let core = index * size; core < (index + 1) * size; core += 1) {
    const rates = cores[core];
    if (rates === undefined) continue;
    flops += rates.flopsPerSecond;
    if (rates.utilization === undefined) {
      isKnown = false;
      continue;
    }
    shares += rates.utilization;
    if (size > 1) physicalCores[device * coresPerDevice + core] = rates.utilization;
  }
  if (!isKnown) return { effective_flops: flops };
  // neuron-monitor's guide, Trn2: the mean of the two physical cores.
  const counters = { neuroncore_utilization: shares / size, effective_flops: flops };
  return size > 1 ? { ...counters, physical_cores: physicalCores } : counters;
}
