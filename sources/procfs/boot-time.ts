import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import { TICKS_PER_SECOND } from './counts.ts';
import { parseCpuStat } from './cpu-stat.ts';

/**
 * Milliseconds since the epoch of the host's boot, from `btime` of `/proc/stat` (whole seconds); undefined where that cannot be read.
 * The kernel moves `btime` when somebody sets the clock. Process identities build on it: read it once and keep it.
 */
export function bootTimeMs(host: Host): number | undefined {
  let content: Buffer;
  try {
    content = readFileSync(join(host.procRoot, 'stat'));
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return undefined;
  }
  const seconds = parseCpuStat(content).bootTimeSeconds;
  return seconds === undefined ? undefined : seconds * 1000;
}

/** Start time of a process from its ticks since boot. */
export function startTimeMs(bootMs: number, startTicks: number): number {
  return bootMs + (startTicks * 1000) / TICKS_PER_SECOND;
}
