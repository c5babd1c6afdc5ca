import type { ByteRange } from './layout.ts';
import { decodeRecords, recordParts } from './records.ts';
import type { DatastoreRecords } from './records.ts';

interface Known {
  readonly parts: readonly ByteRange[];
  /** The parts, one behind the other. */
  readonly copy: Buffer;
  readonly records: DatastoreRecords;
}

/** The records of one datastore as they were decoded last: they hardly ever change, and comparing is much cheaper than decoding. */
export class KnownRecords {
  #known: Known | undefined;

  /** The same object as before where nothing has changed. */
  decode(bytes: Buffer): DatastoreRecords {
    if (this.#known === undefined || !isSame(bytes, this.#known)) {
      const parts = recordParts(bytes);
      const copy = Buffer.concat(parts.map(({ from, to }) => bytes.subarray(from, to)));
      this.#known = { parts, copy, records: decodeRecords(bytes) };
    }
    return this.#known.records;
  }
}

function isSame(bytes: Buffer, { parts, copy }: Known): boolean {
  let at = 0;
  for (const { from, to } of parts) {
    const end = at + to - from;
    if (bytes.compare(copy, at, end, from, to) !== 0) return false;
    at = end;
  }
  return true;
}
