import {
  BASE_COUNTER_COUNT,
  CORE_COUNTER,
  CORE_COUNTER_COUNT,
  DEVICE_COUNTERS_AT,
  DEVICE_COUNTER_COUNT,
  FORMAT_VERSION_AT,
  MAX_CORES,
  SIGNATURE,
  USED_BYTES,
  coreCounterAt,
} from './layout.ts';

/** Counters of one datastore at one moment. Raw: picoseconds and arithmetic pass 2^53. */
export interface DatastoreCounters {
  /** 100,000 as far as anyone has seen; said, never refused. */
  readonly formatVersion: number;
  /** By `DEVICE_COUNTER`. */
  readonly device: BigUint64Array;
  /** Physical core within the device → counters by `CORE_COUNTER`. */
  readonly cores: readonly CoreCounters[];
}

export interface CoreCounters {
  readonly counters: BigUint64Array;
  /** Seconds of the last execution; absent before the first, and where the runtime keeps something else in these counters. */
  readonly latencyDeviceSeconds?: number;
  readonly latencyTotalSeconds?: number;
}

/** Decodes the counters of the first `coreCount` physical cores; undefined when this is no datastore. */
export function decodeCounters(bytes: Uint8Array, coreCount: number): DatastoreCounters | undefined {
  if (!isDatastore(bytes)) return undefined;
  // Whole words at once: a runtime and its reader are on the same little-endian machine, and all counters stand on words.
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const words = new BigUint64Array(aligned.buffer, aligned.byteOffset, USED_BYTES / 8);
  const doubles = new Float64Array(aligned.buffer, aligned.byteOffset, USED_BYTES / 8);
  const length = Math.min(coreCount, MAX_CORES);
  const copy = new BigUint64Array(length * CORE_COUNTER_COUNT);
  const cores = Array.from({ length }, (_, core) => {
    const counters = copy.subarray(core * CORE_COUNTER_COUNT, (core + 1) * CORE_COUNTER_COUNT);
    return decodeCore({ words, doubles }, core, counters);
  });
  const formatVersion = new DataView(aligned.buffer, aligned.byteOffset).getInt32(FORMAT_VERSION_AT, true);
  return { formatVersion, device: wordsAt(words, DEVICE_COUNTERS_AT, DEVICE_COUNTER_COUNT), cores };
}

/** A slab that nobody uses is all zeros. */
export function isDatastore(bytes: Uint8Array): boolean {
  return bytes.length >= USED_BYTES && SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/** A latency slot as the seconds of the last execution. A plain count read as a double is far below any latency, or none. */
export function latencySeconds(value: number | undefined): number | undefined {
  return value !== undefined && value > 1e-9 && value < 86_400 ? value : undefined;
}

/** The counters of one core, copied to their place. */
function decodeCore({ words, doubles }: Words, core: number, counters: BigUint64Array): CoreCounters {
  counters.set(wordsAt(words, coreCounterAt(core, 0), BASE_COUNTER_COUNT));
  counters.set(wordsAt(words, coreCounterAt(core, BASE_COUNTER_COUNT), CORE_COUNTER_COUNT - BASE_COUNTER_COUNT), BASE_COUNTER_COUNT);
  const device = latencySeconds(doubles[coreCounterAt(core, CORE_COUNTER.latencyDevice) / 8]);
  const total = latencySeconds(doubles[coreCounterAt(core, CORE_COUNTER.latencyTotal) / 8]);
  return {
    counters,
    ...(device !== undefined && { latencyDeviceSeconds: device }),
    ...(total !== undefined && { latencyTotalSeconds: total }),
  };
}

interface Words {
  readonly words: BigUint64Array;
  readonly doubles: Float64Array;
}

function wordsAt(words: BigUint64Array, at: number, count: number): BigUint64Array {
  return words.subarray(at / 8, at / 8 + count);
}
