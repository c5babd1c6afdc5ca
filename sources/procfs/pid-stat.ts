import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';
import { TICKS_PER_SECOND, parseCount } from './counts.ts';
import { parseCpuStat } from './cpu-stat.ts';

/** `PidStat` holds the fields of `/proc/<pid>/stat` that the agent uses. Times are clock ticks. */
export interface PidStat {
  /** Name of the main thread, cut at 15 bytes; any character can be in it. */
  readonly command: string;
  readonly parentPid: number;
  readonly isKernelThread: boolean;
  readonly userTicks: number;
  readonly systemTicks: number;
  readonly threadCount: number;
  /** Since boot. Together with the pid this identifies a process for the life of the host. */
  readonly startTicks: number;
  readonly virtualBytes?: number;
  readonly residentPages?: number;
  /** Fields that are there and hold no size that is possible; absent when there is none. */
  readonly impossibleFields?: number;
}

/** PF_KTHREAD of the kernel's sched.h. */
const KERNEL_THREAD_FLAG = 0x0020_0000;

/** Parses `/proc/<pid>/stat`, proc(5); undefined when a field that identifies or times the process is missing or bad. */
export function parsePidStat(text: string): PidStat | undefined {
  // The name is in parentheses and can contain some itself: the last one ends it.
  const nameStart = text.indexOf('(');
  const nameEnd = text.lastIndexOf(')');
  if (nameStart === -1 || nameEnd < nameStart) return undefined;
  const fields = new Fields(text, nameEnd + 2);
  const parentPid = fields.count(4);
  const flags = fields.count(9);
  const userTicks = fields.count(14);
  const systemTicks = fields.count(15);
  const threadCount = fields.count(20);
  const startTicks = fields.count(22);
  if (parentPid === undefined || flags === undefined || threadCount === undefined) return undefined;
  if (userTicks === undefined || systemTicks === undefined || startTicks === undefined) return undefined;
  const virtualBytes = believable(fields.text(23), 1);
  const residentPages = believable(fields.text(24), SMALLEST_PAGE_BYTES);
  const impossibleFields = [virtualBytes, residentPages].filter((size) => size === 'impossible').length;
  return {
    command: text.slice(nameStart + 1, nameEnd),
    parentPid,
    // 32-bit flags: `&` alone is safe here because the result is compared with 0 only.
    isKernelThread: (flags & KERNEL_THREAD_FLAG) !== 0,
    userTicks,
    systemTicks,
    threadCount,
    startTicks,
    ...(typeof virtualBytes === 'number' && { virtualBytes }),
    ...(typeof residentPages === 'number' && { residentPages }),
    ...(impossibleFields > 0 && { impossibleFields }),
  };
}

/** No address space of the supported machines is larger: 57 bits. */
const MAX_ADDRESS_BYTES = 2 ** 57;
const SMALLEST_PAGE_BYTES = 4096;

function believable(text: string, unitBytes: number): number | 'impossible' | undefined {
  if (text === '') return undefined;
  const count = parseCount(text);
  return count === undefined || count * unitBytes > MAX_ADDRESS_BYTES ? 'impossible' : count;
}

/** `Fields` reads numbers after the name in ascending order: most of the fifty fields are not used. */
class Fields {
  readonly #text: string;
  /** The offset and the number of the next field: proc(5) counts from 1, and its field 3 is the first after the name. */
  #at: number;
  #number = 3;

  constructor(text: string, start: number) {
    this.#text = text;
    this.#at = start;
  }

  count(number: number): number | undefined {
    return parseCount(this.text(number));
  }

  /** Empty behind the last field. */
  text(number: number): string {
    for (; this.#number < number; this.#number += 1) this.#at = this.#end() + 1;
    return this.#text.slice(this.#at, this.#end()).trimEnd();
  }

  #end(): number {
    const space = this.#text.indexOf(' ', this.#at);
    return space === -1 ? this.#text.length : space;
  }
}

/**
 * Reads the boot of the host in milliseconds since the epoch, from `btime` of `/proc/stat` (whole seconds); undefined where that cannot be read.
 * The kernel moves `btime` when the clock is set. Process identities build on it: read it once and keep it.
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

/** Returns the start time of a process from its ticks since boot. */
export function startTimeMs(bootMs: number, startTicks: number): number {
  return bootMs + (startTicks * 1000) / TICKS_PER_SECOND;
}
