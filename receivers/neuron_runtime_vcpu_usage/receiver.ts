import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { GroupReading, RuntimeVcpuUsage } from '../../src/readings.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuron_runtime_vcpu_usage'> = { group: 'neuron_runtime_vcpu_usage', metrics, receive };

function receive(reading: GroupReading<'neuron_runtime_vcpu_usage'>, recorder: Recorder, context: ReceiverContext): void {
  const { user, system, cpu_time: cpuTime } = reading.data;
  if (!isZeroFilled(reading, [user, system])) {
    const metric = context.ratesAreMeaningful ? metrics.utilization : metrics.legacyShortUtilization;
    if (user !== undefined) recorder.set(metric, user, { 'cpu.mode': 'user' });
    if (system !== undefined) recorder.set(metric, system, { 'cpu.mode': 'system' });
  }
  recordProcess(reading.data, recorder);
  if (cpuTime === undefined) return;
  const startTimeMs = reading.runtime?.startTimeMs;
  recorder.total(metrics.cpuTime, cpuTime.user, { 'cpu.mode': 'user' }, startTimeMs);
  recorder.total(metrics.cpuTime, cpuTime.system, { 'cpu.mode': 'system' }, startTimeMs);
}

function recordProcess(data: RuntimeVcpuUsage, recorder: Recorder): void {
  if (data.memory_resident_bytes !== undefined) recorder.set(metrics.memory, data.memory_resident_bytes, {});
  if (data.memory_virtual_bytes !== undefined) recorder.set(metrics.virtualMemory, data.memory_virtual_bytes, {});
  if (data.thread_count !== undefined) recorder.set(metrics.threads, data.thread_count, {});
  if (data.uptime_seconds !== undefined) recorder.set(metrics.uptime, data.uptime_seconds, {});
}
