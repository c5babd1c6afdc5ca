import { parseCount } from './counts.ts';

/** What the agent uses of `/proc/<pid>/stat`. Times are clock ticks. */
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
}

/** PF_KTHREAD of the kernel's sched.h. */
const KERNEL_THREAD_FLAG = 0x0020_0000;

/** Parses `/proc/<pid>/stat`, proc(5); undefined when a field that identifies or times the process is missing or bad. */
export function parsePidStat(text: string): PidStat | undefined {
  // The name stands in parentheses and can hold some itself: the last one ends it.
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
  const virtualBytes = fields.count(23);
  const residentPages = fields.count(24);
  return {
    command: text.slice(nameStart + 1, nameEnd),
    parentPid,
    // 32-bit flags: `&` alone is safe here because the result is compared with 0 only.
    isKernelThread: (flags & KERNEL_THREAD_FLAG) !== 0,
    userTicks,
    systemTicks,
    threadCount,
    startTicks,
    ...(virtualBytes !== undefined && { virtualBytes }),
    ...(residentPages !== undefined && { residentPages }),
  };
}

/** Numbers after the name, asked for in ascending order: most of the fifty fields are of no use. */
class Fields {
  readonly #text: string;
  /** Where the next field begins, and which one that is: proc(5) counts from 1, and its field 3 is the first after the name. */
  #at: number;
  #number = 3;

  constructor(text: string, start: number) {
    this.#text = text;
    this.#at = start;
  }

  count(number: number): number | undefined {
    for (; this.#number < number; this.#number += 1) this.#at = this.#end() + 1;
    return parseCount(this.#text.slice(this.#at, this.#end()).trimEnd());
  }

  #end(): number {
    const space = this.#text.indexOf(' ', this.#at);
    return space === -1 ? this.#text.length : space;
  }
}
