import { countAt } from './counts.ts';

/** Modes of one CPU line of `/proc/stat`, in its order, spelled as neuron-monitor spells them. `steal` is beyond neuron-monitor. */
export const CPU_MODES = ['user', 'nice', 'system', 'idle', 'io_wait', 'irq', 'soft_irq', 'steal'] as const;

/** The modes neuron-monitor knows: its percentages are shares of their sum. */
export const MONITOR_MODE_COUNT = 7;

/** Clock ticks by mode, in the order of `CPU_MODES`; seven or eight numbers. */
export type CpuTicks = readonly number[];

/** The parts of `/proc/stat` that the agent uses. */
export interface CpuStat {
  /** All possible CPUs together, those that are offline included. */
  readonly all?: CpuTicks;
  /** CPUs that are online. */
  readonly cpus: ReadonlyMap<number, CpuTicks>;
  /** Since boot. */
  readonly contextSwitches?: number;
  /** Seconds since the epoch. */
  readonly bootTimeSeconds?: number;
  /** Lines that should have been understood and were not. */
  readonly malformedLines: number;
}

interface Found {
  readonly cpus: Map<number, CpuTicks>;
  all?: CpuTicks;
  contextSwitches?: number | undefined;
  bootTimeSeconds?: number | undefined;
}

const LF = 0x0a;
const SPACE = 0x20;
const CPU = Buffer.from('cpu');
const CONTEXT_SWITCHES = Buffer.from('ctxt');
const BOOT_TIME = Buffer.from('btime');

/** Parses `/proc/stat`, proc(5). A bad line costs that line; a last line without its line end was cut off and is not used. */
export function parseCpuStat(content: Uint8Array): CpuStat {
  const found: Found = { cpus: new Map() };
  let malformedLines = 0;
  const length = content.lastIndexOf(LF) + 1;
  for (let start = 0, end = 0; start < length; start = end + 1) {
    end = content.indexOf(LF, start);
    if (!takeLine(content, start, end, found)) malformedLines += 1;
  }
  const { cpus, all, contextSwitches, bootTimeSeconds } = found;
  return {
    cpus,
    malformedLines,
    ...(all !== undefined && { all }),
    ...(contextSwitches !== undefined && { contextSwitches }),
    ...(bootTimeSeconds !== undefined && { bootTimeSeconds }),
  };
}

/** False for a line that should have been understood and was not. */
function takeLine(content: Uint8Array, start: number, end: number, found: Found): boolean {
  const keyEnd = fieldEnd(content, start, end);
  if (begins(content, start, keyEnd, CPU)) return takeCpu(content, start + CPU.length, keyEnd, end, found);
  if (isField(content, start, keyEnd, CONTEXT_SWITCHES)) {
    found.contextSwitches = countAt(content, keyEnd + 1, fieldEnd(content, keyEnd + 1, end));
    return found.contextSwitches !== undefined;
  }
  if (isField(content, start, keyEnd, BOOT_TIME)) {
    found.bootTimeSeconds = countAt(content, keyEnd + 1, fieldEnd(content, keyEnd + 1, end));
    return found.bootTimeSeconds !== undefined;
  }
  return true;
}

/** Without a number it is the line of all CPUs. */
function takeCpu(content: Uint8Array, start: number, keyEnd: number, end: number, found: Found): boolean {
  const ticks = parseTicks(content, keyEnd, end);
  if (ticks === undefined) return false;
  if (start === keyEnd) {
    found.all = ticks;
    return true;
  }
  const cpu = countAt(content, start, keyEnd);
  if (cpu !== undefined) found.cpus.set(cpu, ticks);
  return cpu !== undefined;
}

/** Guest time is part of `user` and `nice` already, so the columns after `steal` are left out. */
function parseTicks(content: Uint8Array, start: number, end: number): CpuTicks | undefined {
  const ticks = [0, 0, 0, 0, 0, 0, 0, 0];
  let count = 0;
  for (let at = start; at < end && count < CPU_MODES.length; count += 1) {
    while (at < end && content[at] === SPACE) at += 1;
    const next = fieldEnd(content, at, end);
    const value = countAt(content, at, next);
    if (value === undefined) return undefined;
    ticks[count] = value;
    at = next;
  }
  ticks.length = count;
  return count < MONITOR_MODE_COUNT ? undefined : ticks;
}

function fieldEnd(content: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && content[at] !== SPACE) at += 1;
  return at;
}

function begins(content: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (end - start < name.length) return false;
  for (let index = 0; index < name.length; index += 1) if (content[start + index] !== name[index]) return false;
  return true;
}

function isField(content: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  return end - start === name.length && begins(content, start, end, name);
}
