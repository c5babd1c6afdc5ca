import type { MemoryInfo } from '../../src/readings.ts';
import { parseCount } from './counts.ts';

const BYTES_PER_KIB = 1024;

/** The kernel writes "kB" and means KiB. A line without its line end was cut off and is not used. */
const LINES = {
  total: /^MemTotal: +(\d+) kB\n/m,
  free: /^MemFree: +(\d+) kB\n/m,
  available: /^MemAvailable: +(\d+) kB\n/m,
  swapTotal: /^SwapTotal: +(\d+) kB\n/m,
  swapFree: /^SwapFree: +(\d+) kB\n/m,
};

/**
 * Parses `/proc/meminfo`, proc(5), into the fields of neuron-monitor. A line that is missing or bad costs the fields that need it.
 * Used is MemTotal − MemFree; README.md has the reasons. Names of fields that cannot be right are added to `impossible`.
 */
export function parseMemInfo(text: string, impossible: string[] = []): MemoryInfo {
  const total = bytesOf(text, LINES.total);
  const free = bytesOf(text, LINES.free);
  const available = within(total, bytesOf(text, LINES.available));
  const swapTotal = bytesOf(text, LINES.swapTotal);
  const swapFree = bytesOf(text, LINES.swapFree);
  const used = difference(total, free);
  const swapUsed = difference(swapTotal, swapFree);
  for (const [name, line, value] of [
    ['MemFree', LINES.free, used],
    ['MemAvailable', LINES.available, available],
    ['SwapFree', LINES.swapFree, swapUsed],
  ] as const)
    if (value === undefined && line.test(text)) impossible.push(name);
  return {
    ...(total !== undefined && { memory_total_bytes: total }),
    ...(used !== undefined && { memory_used_bytes: used }),
    ...(available !== undefined && { memory_available_bytes: available }),
    ...(swapTotal !== undefined && { swap_total_bytes: swapTotal }),
    ...(swapUsed !== undefined && { swap_used_bytes: swapUsed }),
  };
}

function bytesOf(text: string, line: RegExp): number | undefined {
  const digits = line.exec(text)?.[1];
  const kibibytes = parseCount(digits);
  const bytes = kibibytes === undefined ? undefined : kibibytes * BYTES_PER_KIB;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function within(total: number | undefined, bytes: number | undefined): number | undefined {
  return total !== undefined && bytes !== undefined && bytes > total ? undefined : bytes;
}

function difference(total: number | undefined, free: number | undefined): number | undefined {
  return total === undefined || free === undefined || free > total ? undefined : total - free;
}
