import type { TreeWriter } from './tree-writer.ts';
import { COUNTER_COUNT, DEVICE_MEMORY_CATEGORIES, HOST_MEMORY_CATEGORIES } from './truth.ts';
import type { CoreWork, ModelTruth, ProcessCoreTruth, ProcessTruth, Truth } from './truth.ts';

/** Bytes of a datastore that have a meaning (driver header neuron_driver_shared.h, 2.24); the rest of its 256 KiB is left out here. */
const DATASTORE_BYTES = 67_200;

const FORMAT_VERSION = 100_000;
const DEVICE_COUNTERS_AT = 8;
const HOST_MEMORY_COUNTERS = { code: 6, tensors: 7, constants: 8, misc: 10 } as const;
const DEVICE_MEMORY_COUNTERS = { code: 22, tensors: 23, constants: 24, scratchpad: 25, misc: 26 } as const;
const LATENCY_DEVICE = 13;
const LATENCY_TOTAL = 14;
const BASE_COUNTERS = 31;

const PROCESS_INFO_AT = 1_248;
const PROCESS_INFO_BYTES = 64;
const MODEL_BITMAP_AT = 1_312;
const MODELS_AT = 1_320;
const MODEL_BYTES = 672;
const MAX_MODELS = 64;
const EXTENDED_INFO_AT = 44_328;
const EXTENDED_INFO_BYTES = 260;
/** Usage entries of a model: 12 for the host, 12 for the device, 16 bytes each. */
const MODEL_GRID_AT = 288;

const RUNTIME_VERSION = { major: 2, minor: 34, build: 10 } as const;

/**
 * One process's datastore on one device, as the runtime writes it: counters of all physical cores, memory, tag, versions, models.
 * Latency counters hold the last execution as a double; each record begins with its FNV-1a checksum. With `inherits`
 * the counters go on from what its memory held before.
 */
export function encodeDatastore(process: ProcessTruth, device: number, { inherits = false } = {}): Uint8Array {
  const bytes = new Uint8Array(DATASTORE_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(latin1('nds'));
  view.setInt32(4, FORMAT_VERSION, true);
  writeHostMemory(view, process.hostMemoryBytes.get(device));
  const found = inherits ? process.inherited.get(device) : undefined;
  for (const [physicalCore, work] of found ?? []) writeWork(view, physicalCore, work);
  for (const core of process.cores) if (core.device === device) writeCore(view, core, found?.get(core.physicalCore)?.counters);
  writeProcess(bytes, view, process);
  const models = process.models.filter((model) => model.device === device).slice(0, MAX_MODELS);
  for (const [slot, model] of models.entries()) writeModel(bytes, view, slot, model);
  view.setBigUint64(MODEL_BITMAP_AT, (1n << BigInt(models.length)) - 1n, true);
  return bytes;
}

/** Where counter `k` of physical core `c` stands: the first four cores in two parts, the others in one. */
function counterAt(core: number, counter: number): number {
  if (core >= 4) return 57_984 + 768 * (core - 4) + 8 * counter;
  return counter < BASE_COUNTERS ? 256 + 248 * core + 8 * counter : 55_936 + 512 * core + 8 * (counter - BASE_COUNTERS);
}

/** What a core counted; its latencies once there was one. */
function writeWork(view: DataView, physicalCore: number, work: CoreWork): void {
  for (let counter = 0; counter < COUNTER_COUNT; counter += 1) {
    const value = work.counters[counter];
    if (value !== undefined && value > 0n) view.setBigUint64(counterAt(physicalCore, counter), value, true);
  }
  if (work.lastTotalSeconds === 0) return;
  view.setFloat64(counterAt(physicalCore, LATENCY_DEVICE), work.lastDeviceSeconds, true);
  view.setFloat64(counterAt(physicalCore, LATENCY_TOTAL), work.lastTotalSeconds, true);
}

function writeCore(view: DataView, core: ProcessCoreTruth, before: BigUint64Array | undefined): void {
  const at = (counter: number): number => counterAt(core.physicalCore, counter);
  const counters = before === undefined ? core.counters : core.counters.map((value, counter) => value + (before[counter] ?? 0n));
  writeWork(view, core.physicalCore, { counters, lastDeviceSeconds: core.lastDeviceSeconds, lastTotalSeconds: core.lastTotalSeconds });
  const { code, tensors, constants, scratchpad, misc } = DEVICE_MEMORY_COUNTERS;
  const known: Readonly<Record<string, number>> = { model_code: code, tensors, constants, model_shared_scratchpad: scratchpad };
  writeFolded(view, DEVICE_MEMORY_CATEGORIES, core.memoryBytes, (category) => at(known[category] ?? misc));
}

function writeHostMemory(view: DataView, bytes: Float64Array | undefined): void {
  if (bytes === undefined) return;
  const { code, tensors, constants, misc } = HOST_MEMORY_COUNTERS;
  const known: Readonly<Record<string, number>> = { dma_buffers: code, tensors, constants };
  writeFolded(view, HOST_MEMORY_CATEGORIES, bytes, (category) => DEVICE_COUNTERS_AT + 8 * (known[category] ?? misc));
}

/** The runtime knows fewer kinds of memory than the driver: the rest is added up. */
function writeFolded(view: DataView, categories: readonly string[], bytes: Float64Array, at: (category: string) => number): void {
  categories.forEach((category, i) => {
    const offset = at(category);
    view.setBigUint64(offset, view.getBigUint64(offset, true) + BigInt(bytes[i] ?? 0), true);
  });
}

function writeProcess(bytes: Uint8Array, view: DataView, process: ProcessTruth): void {
  const tag = latin1(process.tag);
  bytes.set(tag.subarray(0, 31), PROCESS_INFO_AT + 5);
  for (const at of [1_288, 1_296, 1_304]) {
    bytes[at] = RUNTIME_VERSION.major;
    bytes[at + 1] = RUNTIME_VERSION.minor;
    view.setUint32(at + 4, RUNTIME_VERSION.build, true);
  }
  seal(bytes, view, PROCESS_INFO_AT, PROCESS_INFO_BYTES);
  bytes.set(tag.subarray(0, 255), EXTENDED_INFO_AT + 4);
  seal(bytes, view, EXTENDED_INFO_AT, EXTENDED_INFO_BYTES);
}

function writeModel(bytes: Uint8Array, view: DataView, slot: number, model: ModelTruth): void {
  const at = MODELS_AT + MODEL_BYTES * slot;
  view.setUint32(at + 4, model.id, true);
  view.setUint32(at + 8, slot, true);
  bytes.set(latin1(model.name).subarray(0, 255), at + 12);
  bytes.set(Buffer.from(model.uuid, 'hex'), at + 268);
  bytes[at + 284] = model.logicalCore;
  bytes[at + 285] = 0;
  writeUsage(view, at, 0, model.codeBytes);
  writeUsage(view, at, 2, model.constantBytes);
  seal(bytes, view, at, MODEL_BYTES);
}

function writeUsage(view: DataView, modelAt: number, kind: number, usedBytes: number): void {
  const at = modelAt + MODEL_GRID_AT + (12 + kind) * 16;
  view.setBigUint64(at, BigInt(usedBytes), true);
  view.setUint32(at + 8, usedBytes > 0 ? 1 : 0, true);
}

/** FNV-1a, 32 bits, over the record with its first four bytes zero. */
function seal(bytes: Uint8Array, view: DataView, at: number, length: number): void {
  view.setUint32(at, 0, true);
  let hash = 0x811c9dc5;
  for (const byte of bytes.subarray(at, at + length)) hash = Math.imul(hash ^ byte, 0x01000193);
  view.setUint32(at, hash >>> 0, true);
}

function latin1(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/**
 * Keeps one datastore file for each process on each of its devices, `neuron<N>/<pid>`: what a process would map from a device node.
 */
export class DatastoreTree {
  readonly #writer: TreeWriter;
  readonly #truth: Truth;
  readonly #inherits: boolean;
  readonly #processes = new Set<ProcessTruth>();

  /** `inherits`: what a process counted stays in its datastore for the next owner. */
  constructor(writer: TreeWriter, truth: Truth, options: { readonly inherits: boolean }) {
    this.#writer = writer;
    this.#truth = truth;
    this.#inherits = options.inherits;
    for (const device of truth.devices) writer.addDirectory(`neuron${device.index}`);
  }

  removeEnded(): void {
    const alive = new Set(this.#truth.processes);
    for (const process of this.#processes) {
      if (alive.has(process)) continue;
      this.#processes.delete(process);
      for (const device of process.devices) this.#writer.remove(pathOf(process, device));
    }
  }

  addStarted(): void {
    for (const process of this.#truth.processes) {
      if (this.#processes.has(process)) continue;
      this.#processes.add(process);
      for (const device of process.devices) {
        const content = (): Uint8Array => encodeDatastore(process, device, { inherits: this.#inherits });
        this.#writer.add({ path: pathOf(process, device), content, mode: 0o600 });
      }
    }
  }
}

function pathOf(process: ProcessTruth, device: number): string {
  return `neuron${device}/${process.pid}`;
}
