import { closeSync, openSync, readFileSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { errnoName } from '../../src/file-error.ts';

const CHUNK_BYTES = 64 * 1024;

/** `Looked` is the result of reading a file of a process: the process may have ended, and the agent may lack the right. */
export type Looked<T> = { readonly is: 'seen'; readonly value: T } | { readonly is: 'gone' } | { readonly is: 'denied' };

/** Reads the first `maxBytes` of a file as text. */
export function readText(path: string, maxBytes: number): Looked<string> {
  const chunks: Buffer[] = [];
  const read = readChunks(path, maxBytes, (chunk) => {
    chunks.push(Buffer.from(chunk));
    return true;
  });
  return read.is === 'seen' ? { is: 'seen', value: Buffer.concat(chunks).toString('utf8') } : read;
}

/** Reads a whole file that the kernel keeps short. Such files are read many times a second, and Node reads one in one step. */
export function readShortText(path: string): Looked<string> {
  return look(() => readFileSync(path, 'utf8'));
}

/** Returns true when a line in the first `maxBytes` of a file matches. */
export function fileMentions(path: string, pattern: RegExp, maxBytes: number): Looked<boolean> {
  let found = false;
  let rest = '';
  const read = readChunks(path, maxBytes, (chunk) => {
    const text = rest + chunk.toString('latin1');
    found = pattern.test(text);
    rest = text.slice(text.lastIndexOf('\n') + 1).slice(-CHUNK_BYTES);
    return !found;
  });
  return read.is === 'seen' ? { is: 'seen', value: found } : read;
}

export function readNames(path: string): Looked<readonly string[]> {
  return look(() => readdirSync(path));
}

export function readLink(path: string): Looked<string> {
  return look(() => readlinkSync(path));
}

/** Reads a file chunk by chunk until `take` returns false. */
function readChunks(path: string, maxBytes: number, take: (chunk: Buffer) => boolean): Looked<undefined> {
  return look(() => {
    const descriptor = openSync(path, 'r');
    try {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes));
      for (let total = 0; total < maxBytes;) {
        const length = readSync(descriptor, buffer, 0, Math.min(buffer.length, maxBytes - total), null);
        if (length === 0 || !take(buffer.subarray(0, length))) break;
        total += length;
      }
    } finally {
      closeSync(descriptor);
    }
    return undefined;
  });
}

function look<T>(read: () => T): Looked<T> {
  try {
    return { is: 'seen', value: read() };
  } catch (thrown) {
    const errno = errnoName(thrown);
    if (errno === undefined) throw thrown;
    return errno === 'EACCES' || errno === 'EPERM' ? { is: 'denied' } : { is: 'gone' };
  }
}
