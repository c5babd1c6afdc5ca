import type { MemoryInfo } from '../../src/report.ts';
import { parseCount } from './counts.ts';

const BYTES_PER_KIB = 1024;

/**
 * Parses `/proc/meminfo`, proc(5), into neuron-monitor's shape. A line that is missing or bad costs the fields that need it.
 * Used is MemTotal − MemFree; see README.md for what speaks for this rule.
 */
export function parseMemInfo(text: string): MemoryInfo {
  const total = bytesOf(text, 'MemTotal');
  const free = bytesOf(text, 'MemFree');
  const available = bytesOf(text, 'MemAvailable');
  const swapTotal = bytesOf(text, 'SwapTotal');
  const swapFree = bytesOf(text, 'SwapFree');
  const used = difference(total, free);
  const swapUsed = difference(swapTotal, swapFree);
  return {
    ...(total !== undefined && { memory_total_bytes: total }),
    ...(used !== undefined && { memory_used_bytes: used }),
    ...(available !== undefined && { memory_available_bytes: available }),
    ...(swapTotal !== undefined && { swap_total_bytes: swapTotal }),
    ...(swapUsed !== undefined && { swap_used_bytes: swapUsed }),
  };
}

/** The kernel writes "kB" and means KiB. A line without its line end was cut off and is not used. */
function bytesOf(text: string, name: string): number | undefined {
  const digits = new RegExp(`^${name}: +(\\d+) kB\\n`, 'm').exec(text)?.[1];
  const kibibytes = parseCount(digits);
  const bytes = kibibytes === undefined ? undefined : kibibytes * BYTES_PER_KIB;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function difference(total: number | undefined, free: number | undefined): number | undefined {
  return total === undefined || free === undefined || free > total ? undefined : total - free;
}
