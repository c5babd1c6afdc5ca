import type { CpuModes, GroupReading, NumberMap } from '../../src/readings.ts';
import { TICKS_PER_SECOND } from './counts.ts';
import { CPU_MODES, MONITOR_MODE_COUNT } from './cpu-stat.ts';
import type { CpuStat, CpuTicks } from './cpu-stat.ts';

/**
 * A CPU that was offline starts over, and its modes fall. node_exporter's cpu_linux.go draws the line at three seconds, and so does the
 * agent: a mode that falls by less wobbles.
 */
const RESTART_TICKS = 3 * TICKS_PER_SECOND;
/**
 * These modes also fall while a CPU runs: proc(5) calls iowait unreliable, and stolen time is set back when a virtual machine moves to
 * another host. They never mean that the CPU started over.
 */
const IO_WAIT = CPU_MODES.indexOf('io_wait');

/** Returns the ticks of neuron-monitor's seven modes that passed; a mode that fell counts as zero. */
export function passedTicks(before: CpuTicks, now: CpuTicks): number {
  let passed = 0;
  for (let mode = 0; mode < MONITOR_MODE_COUNT; mode += 1) passed += increase(before[mode], now[mode]);
  return passed;
}

/**
 * Returns the percent of a period by mode, two decimals, as neuron-monitor computes it: the share of each mode in the sum of its seven modes.
 * Stolen time is not in the sum: the shares are shares of the time the host really had.
 * Undefined when no time passed or the CPU was restarted in between.
 */
export function cpuShares(before: CpuTicks, now: CpuTicks): CpuModes | undefined {
  if (wasRestarted(before, now)) return undefined;
  const passed = passedTicks(before, now);
  if (passed === 0) return undefined;
  // A literal: two hundred of these a second, and an object that grows member by member is twice as large.
  return {
    user: shareOf(0, before, now, passed),
    nice: shareOf(1, before, now, passed),
    system: shareOf(2, before, now, passed),
    idle: shareOf(3, before, now, passed),
    io_wait: shareOf(4, before, now, passed),
    irq: shareOf(5, before, now, passed),
    soft_irq: shareOf(6, before, now, passed),
  } satisfies Record<Exclude<(typeof CPU_MODES)[number], 'steal'>, number>;
}

function shareOf(mode: number, before: CpuTicks, now: CpuTicks, passed: number): number {
  return percentOf(increase(before[mode], now[mode]), passed);
}

/** Returns 100 × ticks ÷ whole with two decimals. */
export function percentOf(ticks: number, whole: number): number {
  return Math.round((10_000 * ticks) / whole) / 100;
}

/**
 * `CpuClock` keeps the time by mode, which never falls: a backend takes a fall for a restart from zero and counts the whole rest again.
 * A small fall is a wobble, and the time waits until it is passed. After a large one (a CPU that started over, stolen time that was set
 * back) the time goes on from where it was.
 */
export class CpuClock {
  #ticks: number[] = [];
  #offsets: number[] = [];

  /** Takes the latest ticks; returns seconds by mode. */
  advance(now: CpuTicks): NumberMap {
    const seconds: Record<string, number> = {};
    for (const [mode, ticks] of now.entries()) {
      const name = CPU_MODES[mode];
      if (name !== undefined) seconds[name] = this.#advance(mode, ticks) / TICKS_PER_SECOND;
    }
    return seconds;
  }

  #advance(mode: number, ticks: number): number {
    const highest = this.#ticks[mode] ?? ticks;
    const offset = this.#offsets[mode] ?? 0;
    const fell = highest - (ticks + offset);
    const newOffset = fell > RESTART_TICKS ? offset + fell : offset;
    this.#offsets[mode] = newOffset;
    return (this.#ticks[mode] = Math.max(highest, ticks + newOffset));
  }
}

function wasRestarted(before: CpuTicks, now: CpuTicks): boolean {
  for (let mode = 0; mode < MONITOR_MODE_COUNT; mode += 1) {
    if (mode !== IO_WAIT && (before[mode] ?? 0) - (now[mode] ?? 0) > RESTART_TICKS) return true;
  }
  return false;
}

function increase(before: number | undefined, now: number | undefined): number {
  return before === undefined || now === undefined ? 0 : Math.max(0, now - before);
}

/** `HostUsage` computes the percentages and tallies of `vcpu_usage` from one reading to the next. */
export class HostUsage {
  readonly #clock = new CpuClock();
  #before: { readonly stat: CpuStat; readonly monotonicMs: number } | undefined;

  /** The first reading is the baseline: it has no percentages and no period. */
  next(stat: CpuStat, monotonicMs: number): GroupReading<'vcpu_usage'> {
    const before = this.#before;
    this.#before = { stat, monotonicMs };
    const cpuTime = stat.all === undefined ? undefined : { cpu_time: this.#clock.advance(stat.all) };
    if (before === undefined) return { group: 'vcpu_usage', data: { ...cpuTime } };
    const average = before.stat.all === undefined || stat.all === undefined ? undefined : cpuShares(before.stat.all, stat.all);
    const switches = difference(before.stat.contextSwitches, stat.contextSwitches);
    return {
      group: 'vcpu_usage',
      periodSeconds: (monotonicMs - before.monotonicMs) / 1000,
      data: {
        ...(average !== undefined && { average_usage: average }),
        usage_data: sharesByCpu(before.stat, stat),
        ...(switches !== undefined && { context_switch_count: switches }),
        ...cpuTime,
      },
    };
  }
}

/** A CPU that came online within the period has no shares yet. */
function sharesByCpu(before: CpuStat, now: CpuStat): Readonly<Record<string, CpuModes>> {
  const shares: Record<string, CpuModes> = {};
  for (const [cpu, ticks] of now.cpus) {
    const ticksBefore = before.cpus.get(cpu);
    const ofCpu = ticksBefore === undefined ? undefined : cpuShares(ticksBefore, ticks);
    if (ofCpu !== undefined) shares[cpu] = ofCpu;
  }
  return shares;
}

function difference(before: number | undefined, now: number | undefined): number | undefined {
  return before === undefined || now === undefined || now < before ? undefined : now - before;
}
