import {
  CORE_COUNTER,
  CORE_COUNTER_COUNT,
  DEVICE_COUNTERS_AT,
  DEVICE_COUNTER_COUNT,
  FORMAT_VERSION_AT,
  MAX_CORES,
  SIGNATURE,
  USED_BYTES,
} from './layout.ts';
import { coreCounterAt } from './layout.ts';

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
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const device = new BigUint64Array(DEVICE_COUNTER_COUNT);
  for (let counter = 0; counter < DEVICE_COUNTER_COUNT; counter += 1) {
    device[counter] = view.getBigUint64(DEVICE_COUNTERS_AT + 8 * counter, true);
  }
  const cores = Array.from({ length: Math.min(coreCount, MAX_CORES) }, (_, core) => decodeCore(view, core));
  return { formatVersion: view.getInt32(FORMAT_VERSION_AT, true), device, cores };
}

/** A slab that nobody uses is all zeros. */
export function isDatastore(bytes: Uint8Array): boolean {
  return bytes.length >= USED_BYTES && SIGNATURE.every((byte, at) => bytes[at] === byte);
}

/** A latency slot as the seconds of the last execution. A plain count read as a double is far below any latency, or none. */
export function latencySeconds(value: number): number | undefined {
  return value > 1e-9 && value < 86_400 ? value : undefined;
}

function decodeCore(view: DataView, core: number): CoreCounters {
  const counters = new BigUint64Array(CORE_COUNTER_COUNT);
  for (let counter = 0; counter < CORE_COUNTER_COUNT; counter += 1)
    counters[counter] = view.getBigUint64(coreCounterAt(core, counter), true);
  const device = latencySeconds(view.getFloat64(coreCounterAt(core, CORE_COUNTER.latencyDevice), true));
  const total = latencySeconds(view.getFloat64(coreCounterAt(core, CORE_COUNTER.latencyTotal), true));
  return {
    counters,
    ...(device !== undefined && { latencyDeviceSeconds: device }),
    ...(total !== undefined && { latencyTotalSeconds: total }),
  };
}
