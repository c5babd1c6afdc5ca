import type { Receiver, ReceiverContext, Recorder } from '../../src/receiver.ts';
import type { GroupReading } from '../../src/report.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'neuron_runtime_vcpu_usage'> = { group: 'neuron_runtime_vcpu_usage', metrics, receive };

function receive(reading: GroupReading<'neuron_runtime_vcpu_usage'>, recorder: Recorder, context: ReceiverContext): void {
  const { user, system, cpu_time: cpuTime } = reading.data;
  if (context.ratesAreMeaningful && !isZeroFilled(reading, [user, system])) {
    if (user !== undefined) recorder.set(metrics.utilization, user, { 'cpu.mode': 'user' });
    if (system !== undefined) recorder.set(metrics.utilization, system, { 'cpu.mode': 'system' });
  }
  if (cpuTime === undefined) return;
  const startTimeMs = reading.runtime?.startTimeMs;
  recorder.total(metrics.cpuTime, cpuTime.user, { 'cpu.mode': 'user' }, startTimeMs);
  recorder.total(metrics.cpuTime, cpuTime.system, { 'cpu.mode': 'system' }, startTimeMs);
}
