import { BASE_COUNTER_COUNT, CORE_COUNTER, DEVICE_COUNTERS_AT, DEVICE_COUNTER_COUNT, MAX_CORES, coreCounterAt } from './layout.ts';
import { latencySeconds } from './latency.ts';
import { viewOf } from './view.ts';
import type { DatastoreView } from './view.ts';

const COUNTER_BYTES = 8;
const HIGH_WORD = 2 ** 32;

/**
 * Counters of one datastore at one moment: those of the device, and those of the first physical cores that every runtime has.
 * Made once and filled at each reading, since hundreds of cores are read every second. Picoseconds and arithmetic pass 2^53, so
 * counters are compared and subtracted as two words; what comes out is the true number, rounded once.
 */
export class DatastoreCounters {
  readonly coreCount: number;
  /** The device's counters, then those of each core. */
  readonly #copy: DatastoreView;

  constructor(coreCount: number) {
    this.coreCount = Math.min(coreCount, MAX_CORES);
    this.#copy = viewOf(new ArrayBuffer(COUNTER_BYTES * firstOf(this.coreCount)));
  }

  /** Takes the counters of a datastore. */
  read({ bytes }: DatastoreView): void {
    const { bytes: copy } = this.#copy;
    bytes.copy(copy, 0, DEVICE_COUNTERS_AT, DEVICE_COUNTERS_AT + COUNTER_BYTES * DEVICE_COUNTER_COUNT);
    for (let core = 0; core < this.coreCount; core += 1) {
      const from = coreCounterAt(core, 0);
      bytes.copy(copy, COUNTER_BYTES * firstOf(core), from, from + COUNTER_BYTES * BASE_COUNTER_COUNT);
    }
  }

  /** Takes the counters of an earlier or later reading of the same datastore. */
  take(other: DatastoreCounters): void {
    this.#copy.words.set(other.#copy.words);
  }

  /** By `DEVICE_COUNTER`. */
  device(counter: number): number {
    return this.#number(counter);
  }

  /** By `CORE_COUNTER`. */
  core(core: number, counter: number): number {
    return this.#number(firstOf(core) + counter);
  }

  /** Seconds of the last execution; undefined before the first, and where the runtime keeps something else in this counter. */
  latencyDeviceSeconds(core: number): number | undefined {
    return latencySeconds(this.#copy.doubles[firstOf(core) + CORE_COUNTER.latencyDevice]);
  }

  /** What a counter of a core rose by. */
  riseSince(before: DatastoreCounters, core: number, counter: number): number {
    const at = firstOf(core) + counter;
    return HIGH_WORD * (this.#high(at) - before.#high(at)) + (this.#low(at) - before.#low(at));
  }

  /** What a counter of all cores together rose by. */
  totalRiseSince(before: DatastoreCounters, counter: number): number {
    let high = 0;
    let low = 0;
    for (let core = 0; core < this.coreCount; core += 1) {
      const at = firstOf(core) + counter;
      high += this.#high(at) - before.#high(at);
      low += this.#low(at) - before.#low(at);
    }
    return HIGH_WORD * high + low;
  }

  #number(at: number): number {
    return HIGH_WORD * this.#high(at) + this.#low(at);
  }

  #low(at: number): number {
    return this.#copy.words[2 * at] ?? 0;
  }

  #high(at: number): number {
    return this.#copy.words[2 * at + 1] ?? 0;
  }
}

/** Where the counters of a core begin in the copy, in counters. */
function firstOf(core: number): number {
  return DEVICE_COUNTER_COUNT + BASE_COUNTER_COUNT * core;
}
