import type { GroupReading } from '../../src/readings.ts';
import type { CpuModes } from '../../src/readings.ts';
import { CpuClock, cpuShares } from './cpu-usage.ts';
import type { CpuStat } from './cpu-stat.ts';

/** Percentages and tallies of `vcpu_usage`: what changed between one reading and the next. */
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
