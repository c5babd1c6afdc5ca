import { SIGNATURE, USED_BYTES } from './layout.ts';

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
