import type { Receiver, Recorder } from '../../src/receiver.ts';
import type { GroupReading } from '../../src/readings.ts';
import { isZeroFilled } from '../zero-filled.ts';
import { metrics } from './metrics.ts';

export const receiver: Receiver<'memory_info'> = { group: 'memory_info', metrics, receive };

function receive(reading: GroupReading<'memory_info'>, recorder: Recorder): void {
  const {
    memory_total_bytes: totalBytes,
    memory_used_bytes: usedBytes,
    memory_available_bytes: availableBytes,
    swap_total_bytes: swapBytes,
    swap_used_bytes: swappedBytes,
  } = reading.data;
  if (isZeroFilled(reading, [totalBytes, usedBytes, swapBytes, swappedBytes])) return;
  if (totalBytes !== undefined) recorder.set(metrics.limit, totalBytes, {});
  if (usedBytes !== undefined) recorder.set(metrics.usage, usedBytes, { 'system.memory.state': 'used' });
  const freeBytes = difference(totalBytes, usedBytes);
  if (freeBytes !== undefined) recorder.set(metrics.usage, freeBytes, { 'system.memory.state': 'free' });
  if (availableBytes !== undefined) recorder.set(metrics.available, availableBytes, {});
  if (swappedBytes !== undefined) recorder.set(metrics.paging, swappedBytes, { 'system.paging.state': 'used' });
  const freeSwapBytes = difference(swapBytes, swappedBytes);
  if (freeSwapBytes !== undefined) recorder.set(metrics.paging, freeSwapBytes, { 'system.paging.state': 'free' });
}

function difference(total: number | undefined, used: number | undefined): number | undefined {
  return total === undefined || used === undefined || used < 0 || used > total ? undefined : total - used;
}
