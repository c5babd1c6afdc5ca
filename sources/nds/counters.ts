import { latencySeconds } from './latency.ts';
import {
  BASE_COUNTER_COUNT,
  CORE_COUNTER,
  DEVICE_COUNTER,
  DEVICE_COUNTERS_AT,
  DEVICE_COUNTER_COUNT,
  MAX_CORES,
  coreCounterAt,
  viewOf,
} from './layout.ts';
import type { DatastoreView } from './layout.ts';
import type { MemoryKinds } from './work.ts';

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

  /** Returns the rise of a counter of a core. */
  riseSince(before: DatastoreCounters, core: number, counter: number): number {
    const at = firstOf(core) + counter;
    return HIGH_WORD * (this.#high(at) - before.#high(at)) + (this.#low(at) - before.#low(at));
  }

  /** Returns the rise of a counter of all cores together. */
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

/** Offset of the first counter of a core in the copy, in counters. */
function firstOf(core: number): number {
  return DEVICE_COUNTER_COUNT + BASE_COUNTER_COUNT * core;
}

/** More than any device has. */
const MAX_BELIEVABLE_BYTES = 2 ** 50;

/** Memory of one process on one device; undefined when it states more than there can be. */
export function memoryOf(counters: DatastoreCounters): { readonly host: MemoryKinds; readonly cores: readonly MemoryKinds[] } | undefined {
  const host = hostKinds(counters);
  if (!isBelievable(host)) return undefined;
  const cores: MemoryKinds[] = [];
  for (let core = 0; core < counters.coreCount; core += 1) {
    const kinds = coreKinds(counters, core);
    if (!isBelievable(kinds)) return undefined;
    cores.push(kinds);
  }
  return { host, cores };
}

function hostKinds(counters: DatastoreCounters): MemoryKinds {
  return {
    code: counters.device(DEVICE_COUNTER.codeHostBytes),
    tensors: counters.device(DEVICE_COUNTER.tensorsHostBytes),
    constants: counters.device(DEVICE_COUNTER.constantsHostBytes),
    scratchpad: counters.device(DEVICE_COUNTER.scratchpadHostBytes),
    misc: counters.device(DEVICE_COUNTER.miscHostBytes),
  };
}

function coreKinds(counters: DatastoreCounters, core: number): MemoryKinds {
  return {
    code: counters.core(core, CORE_COUNTER.codeBytes),
    tensors: counters.core(core, CORE_COUNTER.tensorsBytes),
    constants: counters.core(core, CORE_COUNTER.constantsBytes),
    scratchpad: counters.core(core, CORE_COUNTER.scratchpadBytes),
    misc: counters.core(core, CORE_COUNTER.miscBytes),
  };
}

function isBelievable({ code, tensors, constants, scratchpad, misc }: MemoryKinds): boolean {
  return Math.max(code, tensors, constants, scratchpad, misc) <= MAX_BELIEVABLE_BYTES;
}
