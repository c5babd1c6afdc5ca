import type { CpuModes, NumberMap } from '../../src/readings.ts';
import { TICKS_PER_SECOND } from './counts.ts';
import { CPU_MODES, MONITOR_MODE_COUNT } from './cpu-stat.ts';
import type { CpuTicks } from './cpu-stat.ts';

/**
 * The kernel takes back a little I/O wait and idle time now and then (proc(5) calls iowait unreliable); a CPU that was offline
 * starts over. Both are decreases; node_exporter's cpu_linux.go draws the line between them at three seconds, and so do we.
 */
const RESTART_TICKS = 3 * TICKS_PER_SECOND;

/** Ticks of neuron-monitor's seven modes that passed; what the kernel took back counts as zero. */
export function passedTicks(before: CpuTicks, now: CpuTicks): number {
  let passed = 0;
  for (let mode = 0; mode < MONITOR_MODE_COUNT; mode += 1) passed += increase(before[mode], now[mode]);
  return passed;
}

/**
 * Percent of a period by mode, two decimals, as neuron-monitor computes it: the share of each mode in the sum of its seven modes.
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

/** 100 × part ÷ whole with two decimals. */
export function percentOf(part: number, whole: number): number {
  return Math.round((10_000 * part) / whole) / 100;
}

/** Time by mode that never runs backwards by accident: a small decrease is held, a large one is a new beginning. */
export class CpuClock {
  #highest: number[] = [];

  /** Takes the latest ticks; returns seconds by mode. */
  advance(now: CpuTicks): NumberMap {
    const highest = this.#highest;
    this.#highest = now.map((ticks, mode) => {
      const before = highest[mode];
      return before === undefined || before - ticks > RESTART_TICKS ? ticks : Math.max(before, ticks);
    });
    const seconds: Record<string, number> = {};
    for (const [mode, ticks] of this.#highest.entries()) {
      const name = CPU_MODES[mode];
      if (name !== undefined) seconds[name] = ticks / TICKS_PER_SECOND;
    }
    return seconds;
  }
}

function wasRestarted(before: CpuTicks, now: CpuTicks): boolean {
  const modes = Math.min(before.length, now.length);
  for (let mode = 0; mode < modes; mode += 1) if ((before[mode] ?? 0) - (now[mode] ?? 0) > RESTART_TICKS) return true;
  return false;
}

function increase(before: number | undefined, now: number | undefined): number {
  return before === undefined || now === undefined ? 0 : Math.max(0, now - before);
}
