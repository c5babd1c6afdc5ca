import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { CpuModes, GroupReading, VcpuUsage } from '../../src/readings.ts';
import { indexOf } from '../core-index.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'vcpu_usage'> = { group: 'vcpu_usage', metrics, receive };

/** neuron-monitor's mode, the mode of the semantic conventions, and the AWS script's. */
const MODES = [
  { source: 'user', mode: 'user', legacy: 'user' },
  { source: 'nice', mode: 'nice', legacy: 'user' },
  { source: 'system', mode: 'system', legacy: 'system' },
  { source: 'idle', mode: 'idle', legacy: undefined },
  { source: 'io_wait', mode: 'iowait', legacy: 'system' },
  { source: 'irq', mode: 'interrupt', legacy: 'system' },
  { source: 'soft_irq', mode: 'softirq', legacy: 'system' },
] as const;

/** neuron-monitor has no stolen time: it is in the time by mode, and no share of the shares. */
const TIME_MODES = [...MODES, { source: 'steal', mode: 'steal' }] as const;

function receive(reading: GroupReading<'vcpu_usage'>, recorder: Recorder, context: ReceiverContext): void {
  const { average_usage: average, usage_data: perCpu, context_switch_count: contextSwitches, cpu_time: cpuTime } = reading.data;
  if (isZeroFilled(reading, valuesOf(reading.data))) return;
  if (average !== undefined) recordLegacy(average, recorder);
  if (context.ratesAreMeaningful) {
    if (average !== undefined) recordAverage(average, recorder);
    if (perCpu !== undefined && recorder.wants(metrics.utilizationPerCpu)) recordEachCpu(perCpu, recorder);
  }
  const cpus = Object.keys(perCpu ?? {}).length;
  if (cpus > 0) recorder.set(metrics.logicalCount, cpus, {});
  if (contextSwitches !== undefined) recorder.add(metrics.contextSwitches, contextSwitches, {});
  if (cpuTime === undefined) return;
  for (const { source, mode } of TIME_MODES) {
    const seconds = cpuTime[source];
    if (seconds !== undefined) recorder.total(metrics.cpuTime, seconds, { 'cpu.mode': mode }, context.bootTimeMs);
  }
}

function recordAverage(average: CpuModes, recorder: Recorder): void {
  if (!isMeasured(average)) return;
  if (recorder.wants(metrics.utilizationPerCpu)) return;
  for (const { source, mode } of MODES) {
    const percent = average[source];
    if (percent !== undefined) recorder.set(metrics.utilization, percent, { 'cpu.mode': mode });
  }
}

function recordEachCpu(perCpu: Readonly<Record<string, CpuModes>>, recorder: Recorder): void {
  for (const [key, modes] of Object.entries(perCpu)) {
    const cpu = indexOf(key, recorder);
    if (cpu === undefined || !isMeasured(modes)) continue;
    for (const { source, mode } of MODES) {
      const percent = modes[source];
      if (percent !== undefined) recorder.set(metrics.utilizationPerCpu, percent, { 'cpu.mode': mode, 'cpu.logical_number': cpu });
    }
  }
}

/** The script's arithmetic: sums of percents, capped at 100, before anything is divided; also of a first record, where all are zero. */
function recordLegacy(average: CpuModes, recorder: Recorder): void {
  for (const usageType of ['user', 'system'] as const) {
    const shares = MODES.filter(({ legacy }) => legacy === usageType).map(({ source }) => average[source]);
    const present = shares.filter((percent) => percent !== undefined);
    if (present.length === 0) continue;
    if (present.some((percent) => percent < 0)) {
      recorder.fail('source_malformed', 'a share of CPU time is negative');
      continue;
    }
    const percent = present.reduce((sum, share) => sum + share, 0);
    recorder.set(metrics.legacyUtilization, Math.min(percent, 100), { 'cpu.mode': usageType });
  }
}

function* valuesOf({ average_usage: average, usage_data: perCpu, context_switch_count: contextSwitches, cpu_time: cpuTime }: VcpuUsage) {
  yield* [...Object.values(average ?? {}), ...Object.values(cpuTime ?? {}), contextSwitches];
  for (const modes of Object.values(perCpu ?? {})) yield* Object.values(modes);
}

/** A vCPU is always in some mode. neuron-monitor's first record has zeros in all of them, idle included. */
function isMeasured(modes: CpuModes): boolean {
  return Object.values(modes).some((percent) => percent > 0);
}
