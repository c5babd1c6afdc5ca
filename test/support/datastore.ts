/**
 * Writes datastores for tests with numbers of its own, so that the decoder is not tested against itself.
 * Offsets of counters: the macros of the driver header share/neuron_driver_shared.h (2.24), spelled out.
 */
export const SLAB_BYTES = 256 * 1024;

export interface DatastoreModel {
  readonly slot: number;
  readonly modelId: number;
  readonly name: string;
  readonly uuid: string;
  readonly core: number;
  readonly subgraph: number;
  /** Bytes by kind: code, tensors, constants, scratchpad, misc. */
  readonly host?: readonly number[];
  readonly device?: readonly number[];
}

export interface DatastoreContent {
  readonly formatVersion?: number;
  readonly deviceCounters?: Readonly<Record<number, bigint>>;
  /** Physical core → counter → value; latencies (13, 14) in seconds. */
  readonly cores?: Readonly<Record<number, Readonly<Record<number, bigint | number>>>>;
  readonly shortTag?: string;
  readonly longTag?: string;
  readonly runtimeVersion?: readonly [major: number, minor: number, build: number];
  readonly models?: readonly DatastoreModel[];
  /** False: records without checksums. */
  readonly sealed?: boolean;
}

export function buildDatastore(content: DatastoreContent = {}): Uint8Array {
  const bytes = new Uint8Array(SLAB_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set([0x6e, 0x64, 0x73, 0x00]);
  view.setInt32(4, content.formatVersion ?? 100_000, true);
  for (const [counter, value] of Object.entries(content.deviceCounters ?? {})) view.setBigUint64(8 + 8 * Number(counter), value, true);
  for (const [core, counters] of Object.entries(content.cores ?? {})) {
    for (const [counter, value] of Object.entries(counters)) {
      const at = headerOffset(Number(core), Number(counter));
      if (typeof value === 'bigint') view.setBigUint64(at, value, true);
      else view.setFloat64(at, value, true);
    }
  }
  writeRecords(bytes, view, content);
  return bytes;
}

/** `get_neuroncore_counter_value` of the driver, step by step. */
export function headerOffset(core: number, counter: number): number {
  const perDevice = 31;
  const perCore = 31;
  const extended = 64;
  const coreCountersStart = 8 + perDevice * 8;
  const oldExtension = 44_588 + 65 * 4 * 8 + 96 * 12 * 8;
  const extensionStart = Math.ceil(oldExtension / 64) * 64;
  const furtherStart = Math.ceil((extensionStart + extended * 4 * 8) / 64) * 64;
  if (core >= 4) return furtherStart + (core - 4) * (perCore + extended + 1) * 8 + counter * 8;
  if (counter < perCore) return coreCountersStart + core * perCore * 8 + counter * 8;
  return extensionStart + core * extended * 8 + (counter - perCore) * 8;
}

function writeRecords(bytes: Uint8Array, view: DataView, content: DatastoreContent): void {
  const { shortTag, longTag = shortTag ?? '', runtimeVersion, models = [], sealed = true } = content;
  const [major, minor, build] = runtimeVersion ?? [0, 0, 0];
  bytes.set(Buffer.from(shortTag ?? longTag).subarray(0, 31), 1253);
  bytes[1304] = major;
  bytes[1305] = minor;
  view.setUint32(1308, build, true);
  bytes.set(Buffer.from(longTag).subarray(0, 255), 44_332);
  let bitmap = 0n;
  for (const model of models) {
    bitmap |= 1n << BigInt(model.slot);
    writeModel(bytes, view, 1320 + 672 * model.slot, model);
  }
  view.setBigUint64(1312, bitmap, true);
  if (!sealed) return;
  seal(bytes, view, 1248, 64);
  for (const model of models) seal(bytes, view, 1320 + 672 * model.slot, 672);
  seal(bytes, view, 44_328, 260);
}

function writeModel(bytes: Uint8Array, view: DataView, at: number, model: DatastoreModel): void {
  view.setUint32(at + 4, model.modelId, true);
  bytes.set(Buffer.from(model.name).subarray(0, 255), at + 12);
  bytes.set(Buffer.from(model.uuid, 'hex'), at + 268);
  bytes[at + 284] = model.core;
  bytes[at + 285] = model.subgraph;
  for (const [place, kinds] of [model.host ?? [], model.device ?? []].entries()) {
    for (const [kind, used] of kinds.entries()) view.setBigUint64(at + 288 + (place * 12 + kind) * 16, BigInt(used), true);
  }
}

/** FNV-1a with 32 bits, in plain arithmetic. */
export function fnv1a(bytes: Uint8Array): number {
  let hash = 2_166_136_261n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 16_777_619n) % 4_294_967_296n;
  return Number(hash);
}

export function seal(bytes: Uint8Array, view: DataView, at: number, length: number): void {
  view.setUint32(at, 0, true);
  view.setUint32(at, fnv1a(bytes.subarray(at, at + length)), true);
}
