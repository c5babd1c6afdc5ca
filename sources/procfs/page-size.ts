import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';
import type { Host } from '../../src/host.ts';

/** AT_PAGESZ of the kernel's auxvec.h. */
const PAGE_SIZE_TYPE = 6n;
const USUAL_PAGE_BYTES = 4096;

/** Bytes of a memory page, from the auxiliary vector of this process; 4096 where that cannot be read. */
export function pageBytes(host: Host): number {
  let vector: Buffer;
  try {
    vector = readFileSync(join(host.procRoot, 'self', 'auxv'));
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return USUAL_PAGE_BYTES;
  }
  return parsePageBytes(vector) ?? USUAL_PAGE_BYTES;
}

/** Pairs of 64-bit type and value, getauxval(3); undefined when no plausible page size is among them. */
export function parsePageBytes(vector: Uint8Array): number | undefined {
  const view = new DataView(vector.buffer, vector.byteOffset, vector.byteLength);
  for (let at = 0; at + 16 <= view.byteLength; at += 16) {
    if (view.getBigUint64(at, true) !== PAGE_SIZE_TYPE) continue;
    const bytes = Number(view.getBigUint64(at + 8, true));
    return bytes >= USUAL_PAGE_BYTES && bytes <= 1 << 20 ? bytes : undefined;
  }
  return undefined;
}
