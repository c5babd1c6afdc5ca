import { closeSync, openSync, readSync } from 'node:fs';

/** Reads a file, pipe or device as UTF-8 text. Throws when it is longer than `maxBytes` or not UTF-8. */
export function readTextFile(path: string, maxBytes: number): string {
  const descriptor = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(maxBytes + 1);
    let length = 0;
    for (;;) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, null);
      length += count;
      if (length > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
      if (count === 0) return decode(buffer.subarray(0, length));
    }
  } finally {
    closeSync(descriptor);
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('it is not UTF-8 text');
  }
}
