import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoName } from './file-error.ts';

/** The open of a FIFO without a writer would wait for one. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Reads a regular file of at most `maxBytes`: configuration, credentials, certificates. FIFOs, devices, sockets and folders are refused
 * before a byte is read, and a file without an end is refused at the limit, so that no such file holds up the start or the stop.
 */
export function readRegularFile(path: string, maxBytes: number): Buffer {
  const descriptor = openSync(path, FLAGS);
  try {
    const buffer = bufferFor(fstatSync(descriptor), maxBytes);
    let length = 0;
    for (let count = 1; count > 0 && length < buffer.length; length += count)
      count = readSync(descriptor, buffer, length, buffer.length - length, null);
    return content(buffer, length, maxBytes);
  } finally {
    closeSync(descriptor);
  }
}

export interface ReadOptions {
  /** False refuses a symbolic link at the end of the path. */
  readonly followsLinks?: boolean;
}

/** The same without holding up the agent while the file system is slow. */
export async function readRegularFileLater(path: string, maxBytes: number, { followsLinks = true }: ReadOptions = {}): Promise<Buffer> {
  const file = await open(path, followsLinks ? FLAGS : FLAGS | constants.O_NOFOLLOW);
  try {
    const buffer = bufferFor(await file.stat(), maxBytes);
    let length = 0;
    for (let count = 1; count > 0 && length < buffer.length; length += count)
      count = (await file.read(buffer, length, buffer.length - length, null)).bytesRead;
    return content(buffer, length, maxBytes);
  } finally {
    await file.close();
  }
}

/** The reason why a file cannot be read, as the end of a sentence; undefined when it can. */
export function unreadable(path: string, maxBytes: number): string | undefined {
  try {
    readRegularFile(path, maxBytes);
    return undefined;
  } catch (thrown) {
    return `cannot be read: ${failureText(thrown)}`;
  }
}

/** The code of a system error, such as ENOENT, or the message of another one. */
export function failureText(thrown: unknown): string {
  return errnoName(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
}

/** The bytes as UTF-8; throws where they are none. */
export function utf8Text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error('it is not UTF-8 text');
  }
}

/** One byte more than the file, or than the limit, shows that a file is too large. Files of /proc have no size. */
function bufferFor(stats: Stats, maxBytes: number): Buffer {
  if (!stats.isFile()) throw new Error(`it is ${kindOf(stats)}, not a regular file`);
  return Buffer.allocUnsafeSlow((stats.size === 0 ? maxBytes : Math.min(stats.size, maxBytes)) + 1);
}

function content(buffer: Buffer, length: number, maxBytes: number): Buffer {
  if (length > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
  return buffer.subarray(0, length);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a FIFO';
  return stats.isSocket() ? 'a socket' : 'a device';
}
