import {
  CHECKSUM_BYTES,
  EXTENDED_PROCESS_RECORD,
  MODEL_BITMAP_AT,
  MODEL_BITMAP_BYTES,
  MODEL_FIELD,
  MODEL_MEMORY_KINDS,
  MODEL_RECORDS,
  PROCESS_RECORD,
} from './layout.ts';
import type { ByteRange } from './layout.ts';

/** Bytes of one model by kind of memory. */
export type ModelMemory = Readonly<Record<(typeof MODEL_MEMORY_KINDS)[number], number>>;

/** One subgraph of a loaded model. */
export interface ModelRecord {
  readonly modelId: number;
  readonly name: string;
  /** 32 hex digits. */
  readonly uuid: string;
  /** Within the device, logical. */
  readonly core: number;
  readonly subgraph: number;
  readonly host: ModelMemory;
  readonly device: ModelMemory;
}

/** Everything in a datastore that is not a counter. */
export interface DatastoreRecords {
  /** `NEURON_PROCESS_TAG`, or the pid as text; absent when the record is empty or not understood. */
  readonly tag?: string;
  /** `2.34.10`. */
  readonly runtimeVersion?: string;
  readonly models: readonly ModelRecord[];
  /**
   * How far the layout proved itself: `sealed` when checksums are right, `plausible` when there are none but the texts are texts,
   * `unknown` when neither: then nothing else is given.
   */
  readonly proof: 'sealed' | 'plausible' | 'unknown';
  /** Records that were left out: torn by a write under way, or not understood. */
  readonly leftOut: number;
}

const NOTHING: DatastoreRecords = { models: [], proof: 'unknown', leftOut: 0 };

/** Grids with more than this for one model are not believed: no device has as much. */
const MAX_BELIEVABLE_BYTES = 2 ** 50;

/** Decodes records and lets them prove that their layout is the expected one. */
export function decodeRecords(bytes: Uint8Array): DatastoreRecords {
  const proof = proofOf(bytes);
  if (proof === 'unknown') return NOTHING;
  const isGood = (at: number, length: number): boolean => proof === 'plausible' || isSealed(bytes, at, length);
  const short = textAt(bytes, PROCESS_RECORD.at + PROCESS_RECORD.tagAt, PROCESS_RECORD.tagBytes);
  const hasLong = isGood(EXTENDED_PROCESS_RECORD.at, EXTENDED_PROCESS_RECORD.bytes);
  const long = hasLong ? textAt(bytes, EXTENDED_PROCESS_RECORD.at + EXTENDED_PROCESS_RECORD.tagAt, EXTENDED_PROCESS_RECORD.tagBytes) : '';
  const tag = long === undefined || long === '' ? short : long;
  const runtimeVersion = versionAt(bytes, PROCESS_RECORD.at + PROCESS_RECORD.runtimeVersionAt);
  const slots = usedSlots(bytes);
  const models = slots.flatMap((slot) => {
    const at = MODEL_RECORDS.at + MODEL_RECORDS.bytes * slot;
    const model = isGood(at, MODEL_RECORDS.bytes) ? modelAt(bytes, at) : undefined;
    return model === undefined ? [] : [model];
  });
  return {
    ...(tag !== undefined && tag !== '' && { tag }),
    ...(runtimeVersion !== undefined && { runtimeVersion }),
    models,
    proof,
    leftOut: slots.length - models.length + (hasLong ? 0 : 1),
  };
}

/**
 * Everything that `decodeRecords` looks at, neighbours as one: mostly two ranges. The first begins with the process and the list of models:
 * where it is the same in two datastores, so are the other ranges.
 */
export function recordRanges(bytes: Uint8Array): readonly ByteRange[] {
  const ranges: ByteRange[] = [];
  let from: number = PROCESS_RECORD.at;
  let to = MODEL_BITMAP_AT + MODEL_BITMAP_BYTES;
  for (const slot of usedSlots(bytes)) {
    const at = MODEL_RECORDS.at + MODEL_RECORDS.bytes * slot;
    if (at !== to) {
      ranges.push({ from, to });
      from = at;
    }
    to = at + MODEL_RECORDS.bytes;
  }
  const extended = EXTENDED_PROCESS_RECORD.at;
  return [...ranges, { from, to }, { from: extended, to: extended + EXTENDED_PROCESS_RECORD.bytes }];
}

/** FNV-1a, 32 bits, over a record with its checksum taken as zero. */
export function checksum(bytes: Uint8Array, at: number, length: number): number {
  let hash = 0x811c_9dc5;
  for (let offset = 0; offset < length; offset += 1) {
    const byte = offset < CHECKSUM_BYTES ? 0 : (bytes[at + offset] ?? 0);
    hash = Math.imul(hash ^ byte, 0x0100_0193);
  }
  return hash >>> 0;
}

function proofOf(bytes: Uint8Array): DatastoreRecords['proof'] {
  if (isSealed(bytes, PROCESS_RECORD.at, PROCESS_RECORD.bytes)) return 'sealed';
  const short = textAt(bytes, PROCESS_RECORD.at + PROCESS_RECORD.tagAt, PROCESS_RECORD.tagBytes);
  const long = textAt(bytes, EXTENDED_PROCESS_RECORD.at + EXTENDED_PROCESS_RECORD.tagAt, EXTENDED_PROCESS_RECORD.tagBytes);
  // The short tag is the beginning of the long one; where both are empty nothing is proven.
  if (short === undefined || long === undefined || short === '' || (long !== '' && !long.startsWith(short))) return 'unknown';
  return versionAt(bytes, PROCESS_RECORD.at + PROCESS_RECORD.runtimeVersionAt) === undefined ? 'unknown' : 'plausible';
}

function isSealed(bytes: Uint8Array, at: number, length: number): boolean {
  const stored = new DataView(bytes.buffer, bytes.byteOffset + at, CHECKSUM_BYTES).getUint32(0, true);
  return stored !== 0 && stored === checksum(bytes, at, length);
}

/** Text up to its NUL; undefined when there is none, or when control characters or broken UTF-8 are in it. */
function textAt(bytes: Uint8Array, at: number, length: number): string | undefined {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  if (end === -1) return undefined;
  const text = Buffer.from(field.subarray(0, end)).toString('utf8');
  // A text that fills its field was cut, maybe within a character.
  const whole = end === length - 1 ? text.replace(/\uFFFD+$/, '') : text;
  return /[\p{Cc}\uFFFD]/u.test(whole) ? undefined : whole;
}

/** `{u8 major, u8 minor, u16 unused, u32 build}`; undefined when it is all zeros. */
function versionAt(bytes: Uint8Array, at: number): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 8);
  const [major, minor, build] = [view.getUint8(0), view.getUint8(1), view.getUint32(4, true)];
  return major === 0 && minor === 0 && build === 0 ? undefined : `${major}.${minor}.${build}`;
}

function usedSlots(bytes: Uint8Array): readonly number[] {
  const bitmap = new DataView(bytes.buffer, bytes.byteOffset + MODEL_BITMAP_AT, MODEL_BITMAP_BYTES).getBigUint64(0, true);
  return Array.from({ length: MODEL_RECORDS.count }, (_, slot) => slot).filter((slot) => (bitmap >> BigInt(slot)) & 1n);
}

function modelAt(bytes: Uint8Array, at: number): ModelRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, MODEL_RECORDS.bytes);
  const name = textAt(bytes, at + MODEL_FIELD.name, MODEL_FIELD.nameBytes);
  const host = memoryAt(view, MODEL_FIELD.grid);
  const device = memoryAt(view, MODEL_FIELD.grid + MODEL_FIELD.gridKinds * MODEL_FIELD.gridEntryBytes);
  if (name === undefined || host === undefined || device === undefined) return undefined;
  return {
    modelId: view.getUint32(MODEL_FIELD.modelId, true),
    name,
    uuid: Buffer.from(bytes.subarray(at + MODEL_FIELD.uuid, at + MODEL_FIELD.uuid + MODEL_FIELD.uuidBytes)).toString('hex'),
    core: view.getUint8(MODEL_FIELD.core),
    subgraph: view.getUint8(MODEL_FIELD.subgraph),
    host,
    device,
  };
}

function memoryAt(view: DataView, at: number): ModelMemory | undefined {
  const [code, tensors, constants, scratchpad, misc] = MODEL_MEMORY_KINDS.map((_, kind) =>
    Number(view.getBigUint64(at + kind * MODEL_FIELD.gridEntryBytes, true)),
  );
  if (code === undefined || tensors === undefined || constants === undefined || scratchpad === undefined || misc === undefined)
    return undefined;
  const memory = { code, tensors, constants, scratchpad, misc };
  return Object.values(memory).every((bytes) => bytes < MAX_BELIEVABLE_BYTES) ? memory : undefined;
}

interface Known {
  readonly ranges: readonly ByteRange[];
  /** The bytes of the ranges, one range behind the other. */
  readonly copy: Buffer;
  readonly records: DatastoreRecords;
}

/** The records of one datastore as they were decoded last: they hardly ever change, and comparing is much cheaper than decoding. */
export class KnownRecords {
  #known: Known | undefined;

  /** The same object as before where nothing has changed. */
  decode(bytes: Buffer): DatastoreRecords {
    if (this.#known === undefined || !isSame(bytes, this.#known)) {
      const ranges = recordRanges(bytes);
      const copy = Buffer.concat(ranges.map(({ from, to }) => bytes.subarray(from, to)));
      this.#known = { ranges, copy, records: decodeRecords(bytes) };
    }
    return this.#known.records;
  }
}

function isSame(bytes: Buffer, { ranges, copy }: Known): boolean {
  let at = 0;
  for (const { from, to } of ranges) {
    const end = at + to - from;
    if (bytes.compare(copy, at, end, from, to) !== 0) return false;
    at = end;
  }
  return true;
}
