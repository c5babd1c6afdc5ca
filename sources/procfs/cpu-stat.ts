import { parseCount } from './counts.ts';

/** Modes of one CPU line of `/proc/stat`, in its order, spelled as neuron-monitor spells them. `steal` is beyond neuron-monitor. */
export const CPU_MODES = ['user', 'nice', 'system', 'idle', 'io_wait', 'irq', 'soft_irq', 'steal'] as const;

/** The modes neuron-monitor knows: its percentages are shares of their sum. */
export const MONITOR_MODE_COUNT = 7;

/** Clock ticks by mode, in the order of `CPU_MODES`; seven or eight numbers. */
export type CpuTicks = readonly number[];

/** What the agent uses of `/proc/stat`. */
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

/** Parses `/proc/stat`, proc(5). A bad line costs that line; a last line without its line end was cut off and is not used. */
export function parseCpuStat(text: string): CpuStat {
  const cpus = new Map<number, CpuTicks>();
  let all: CpuTicks | undefined;
  let contextSwitches: number | undefined;
  let bootTimeSeconds: number | undefined;
  let malformedLines = 0;
  for (const line of completeLines(text)) {
    const [key, first] = line.split(' ', 2);
    if (key === 'ctxt') {
      contextSwitches = parseCount(first);
      if (contextSwitches === undefined) malformedLines += 1;
    } else if (key === 'btime') {
      bootTimeSeconds = parseCount(first);
      if (bootTimeSeconds === undefined) malformedLines += 1;
    } else if (key?.startsWith('cpu') === true) {
      const ticks = parseTicks(line);
      const cpu = key === 'cpu' ? 'all' : parseCount(key.slice(3));
      if (ticks === undefined || cpu === undefined) malformedLines += 1;
      else if (cpu === 'all') all = ticks;
      else cpus.set(cpu, ticks);
    }
  }
  return {
    cpus,
    malformedLines,
    ...(all !== undefined && { all }),
    ...(contextSwitches !== undefined && { contextSwitches }),
    ...(bootTimeSeconds !== undefined && { bootTimeSeconds }),
  };
}

function completeLines(text: string): readonly string[] {
  const end = text.lastIndexOf('\n');
  return end === -1 ? [] : text.slice(0, end).split('\n');
}

/** Guest time is part of `user` and `nice` already, so the columns after `steal` are left out. */
function parseTicks(line: string): CpuTicks | undefined {
  const ticks: number[] = [];
  for (const field of line.split(/ +/).slice(1, 1 + CPU_MODES.length)) {
    const value = parseCount(field);
    if (value === undefined) return undefined;
    ticks.push(value);
  }
  return ticks.length < MONITOR_MODE_COUNT ? undefined : ticks;
}
