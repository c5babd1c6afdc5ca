import { crc32c } from './crc32c.ts';
import type { QueueFile, QueueFileSystem } from './file-system.ts';

/** A place in the queue's files. */
export interface Position {
  readonly segment: number;
  readonly offset: number;
}

const SLOT_BYTES = 32;
const CHECKED_BYTES = 24;

/**
 * How far the queue was delivered: two slots of sequence, segment, offset (doubles) and CRC-32C, written in turn, so that a
 * torn write leaves the other one.
 */
export class Cursor {
  readonly #file: QueueFile;
  #sequence: number;

  private constructor(file: QueueFile, sequence: number) {
    this.#file = file;
    this.#sequence = sequence;
  }

  /** Makes the file when there is none. */
  static async open(files: QueueFileSystem, path: string): Promise<{ readonly cursor: Cursor; readonly position?: Position }> {
    const file = await files.open(path, 'update');
    const bytes = Buffer.alloc(2 * SLOT_BYTES);
    try {
      await file.read(bytes, 0);
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
    const slots = [bytes.subarray(0, SLOT_BYTES), bytes.subarray(SLOT_BYTES)].map(decodeSlot).filter((slot) => slot !== undefined);
    const [newest] = slots.toSorted((a, b) => b.sequence - a.sequence);
    if (newest === undefined) return { cursor: new Cursor(file, 0) };
    return { cursor: new Cursor(file, newest.sequence), position: newest };
  }

  async save({ segment, offset }: Position): Promise<void> {
    this.#sequence += 1;
    const slot = Buffer.alloc(SLOT_BYTES);
    slot.writeDoubleLE(this.#sequence, 0);
    slot.writeDoubleLE(segment, 8);
    slot.writeDoubleLE(offset, 16);
    slot.writeUInt32LE(crc32c(slot.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
    await this.#file.write([slot], (this.#sequence % 2) * SLOT_BYTES);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function decodeSlot(slot: Buffer): (Position & { readonly sequence: number }) | undefined {
  if (crc32c(slot.subarray(0, CHECKED_BYTES)) !== slot.readUInt32LE(CHECKED_BYTES)) return undefined;
  const sequence = slot.readDoubleLE(0);
  // An empty slot has the checksum of zeros only if someone wrote it so.
  if (sequence <= 0) return undefined;
  return { sequence, segment: slot.readDoubleLE(8), offset: slot.readDoubleLE(16) };
}
