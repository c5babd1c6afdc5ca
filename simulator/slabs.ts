import { COUNTER_COUNT } from './truth.ts';
import type { CoreWork, ProcessCoreTruth } from './truth.ts';

/** Physical core → what it counted in one datastore. */
export type SlabCounts = ReadonlyMap<number, CoreWork>;

/** Processes that one device has place for. */
const SLABS = 16;

/**
 * The memory of one device's datastores. The counters of cores stay in it when a process ends, and the next owner finds them: the
 * place that was given back the longest time ago is the next one taken (drivers since 2.30.2).
 */
export class Slabs {
  #free: SlabCounts[] = Array.from({ length: SLABS }, () => new Map());

  /** What stands in the place that a process gets. */
  take(): SlabCounts {
    return this.#free.shift() ?? new Map();
  }

  giveBack(found: SlabCounts, cores: readonly ProcessCoreTruth[]): void {
    const left = new Map(found);
    for (const core of cores) left.set(core.physicalCore, sum(core, found.get(core.physicalCore)));
    this.#free.push(left);
  }

  wipe(): void {
    this.#free = this.#free.map(() => new Map());
  }
}

function sum(core: ProcessCoreTruth, before: CoreWork | undefined): CoreWork {
  const counters = BigUint64Array.from({ length: COUNTER_COUNT }, (_, i) => (core.counters[i] ?? 0n) + (before?.counters[i] ?? 0n));
  const last = core.lastTotalSeconds === 0 && before !== undefined ? before : core;
  return { counters, lastDeviceSeconds: last.lastDeviceSeconds, lastTotalSeconds: last.lastTotalSeconds };
}
