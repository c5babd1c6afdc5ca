/**
 * The layout of a Neuron datastore: the shared memory in which one process records its work on one device.
 * Counters: driver header share/neuron_driver_shared.h, 2.24. Records: public runtime header nrt/nds/neuron_ds.h for their content; their
 * offsets are derived from its sizes (they fill the hole between the counters exactly) and are proven on live data by `records.ts`.
 * All numbers are little-endian.
 */

/** Bytes the driver allocates for one datastore, and the length of a mapping. */
export const SLAB_BYTES = 262_144;
/** Bytes that have a meaning. */
export const USED_BYTES = 67_200;

export const SIGNATURE = [0x6e, 0x64, 0x73, 0x00] as const;

export const DEVICE_COUNTERS_AT = 8;
export const DEVICE_COUNTER_COUNT = 31;

/** Counters of a core that every runtime since 2.5 has. Later ones were added behind them, 95 in all; none of those is used. */
export const BASE_COUNTER_COUNT = 31;
export const MAX_CORES = 16;

/** Cores whose counters are in two areas. */
const SPLIT_CORES = 4;
const BASE_AREA = { at: 256, stride: 248 } as const;
const EXTENSION_AREA = { at: 55_936, stride: 512 } as const;
const FURTHER_CORES_AREA = { at: 57_984, stride: 768 } as const;

/** Bytes `[from, to)` of a datastore. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** Length of the part with the latencies of the first `coreCount` cores. */
export function latencyRanges(coreCount: number): readonly ByteRange[] {
  const { at, stride } = FURTHER_CORES_AREA;
  const base = { from: BASE_AREA.at, to: BASE_AREA.at + BASE_AREA.stride * Math.min(coreCount, SPLIT_CORES) };
  const further = Math.min(coreCount, MAX_CORES) - SPLIT_CORES;
  return further > 0 ? [base, { from: at, to: at + stride * (further - 1) + 8 * BASE_COUNTER_COUNT }] : [base];
}

/** Offset of counter `counter` of physical core `core`. */
export function coreCounterAt(core: number, counter: number): number {
  if (core >= SPLIT_CORES) return FURTHER_CORES_AREA.at + FURTHER_CORES_AREA.stride * (core - SPLIT_CORES) + 8 * counter;
  if (counter < BASE_COUNTER_COUNT) return BASE_AREA.at + BASE_AREA.stride * core + 8 * counter;
  return EXTENSION_AREA.at + EXTENSION_AREA.stride * core + 8 * (counter - BASE_COUNTER_COUNT);
}

/** Ids of device counters. */
export const DEVICE_COUNTER = {
  codeHostBytes: 6,
  tensorsHostBytes: 7,
  constantsHostBytes: 8,
  scratchpadHostBytes: 9,
  miscHostBytes: 10,
} as const;

/** Ids of core counters. Latencies are the last execution's, as doubles. */
export const CORE_COUNTER = {
  timeInUse: 0,
  completed: 1,
  completedWithError: 2,
  completedWithNumericalError: 3,
  timedOut: 4,
  incorrectInput: 5,
  failedToQueue: 6,
  errorGeneric: 7,
  errorNumerical: 8,
  errorModel: 9,
  errorTransient: 10,
  errorHardware: 11,
  errorRuntime: 12,
  latencyDevice: 13,
  latencyTotal: 14,
  codeBytes: 22,
  tensorsBytes: 23,
  constantsBytes: 24,
  scratchpadBytes: 25,
  miscBytes: 26,
  macs: 29,
} as const;

/** Each record begins with a checksum of itself. */
export const CHECKSUM_BYTES = 4;

export const PROCESS_RECORD = { at: 1248, bytes: 64, tagAt: 5, tagBytes: 32, runtimeVersionAt: 56 } as const;
export const MODEL_BITMAP_AT = 1312;
export const MODEL_BITMAP_BYTES = 8;
export const MODEL_RECORDS = { at: 1320, bytes: 672, count: 64 } as const;
/** Within a model record. The grid has twelve kinds for each of host and device, 16 bytes each: bytes used, then a count. */
export const MODEL_FIELD = {
  modelId: 4,
  name: 12,
  nameBytes: 256,
  uuid: 268,
  uuidBytes: 16,
  core: 284,
  subgraph: 285,
  grid: 288,
  gridKinds: 12,
  gridEntryBytes: 16,
} as const;
export const EXTENDED_PROCESS_RECORD = { at: 44_328, bytes: 260, tagAt: 4, tagBytes: 256 } as const;

/** First bytes of a datastore, which say what it is. */
export const HEADER_BYTES = 8;
/** First and last byte of everything but counters. */
export const RECORDS_AT = PROCESS_RECORD.at;
export const RECORDS_END = EXTENDED_PROCESS_RECORD.at + EXTENDED_PROCESS_RECORD.bytes;

/** Kinds of memory in a model's grid, in its order; further kinds are unused. */
export const MODEL_MEMORY_KINDS = ['code', 'tensors', 'constants', 'scratchpad', 'misc'] as const;

/**
 * The memory of a datastore, or a copy of it, as what stands in it. A runtime and its reader are on the same little-endian machine, and
 * all counters stand on words.
 */
export interface DatastoreView {
  readonly bytes: Buffer;
  /** Halves of counters, the low one first. */
  readonly words: Uint32Array;
  /** Latencies are doubles. */
  readonly doubles: Float64Array;
}

export function viewOf(memory: ArrayBufferLike): DatastoreView {
  return { bytes: Buffer.from(memory), words: new Uint32Array(memory), doubles: new Float64Array(memory) };
}

/** Memory to copy a datastore to. */
export function emptyView(): DatastoreView {
  return viewOf(new ArrayBuffer(USED_BYTES));
}

/** A slab that nobody uses is all zeros. */
export function isDatastore(bytes: Uint8Array): boolean {
  return bytes.length >= USED_BYTES && SIGNATURE.every((byte, at) => bytes[at] === byte);
}
