import { rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { errnoName } from '../../src/file-error.ts';

/** `sun_path` of unix(7), its closing zero aside. */
const MAX_SOCKET_PATH_BYTES = 107;

/** A folder that belongs to this process until disposed. */
export interface DirectoryLock {
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Takes a folder for this process alone; undefined when another one has it. The lock is a listening socket in the folder: the
 * kernel ends it with the process, and any process that sees the folder can ask whether it is alive, whatever its pid or network
 * namespace, where a pid in a file would mean nothing. Rejects with the operating system's error when the folder cannot be used.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock | undefined> {
  const path = join(directory, 'lock');
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    throw new Error(`path of the queue's lock is longer than ${MAX_SOCKET_PATH_BYTES} bytes`);
  const server = (await listen(path)) ?? (await steal(directory, path));
  if (server === undefined) return undefined;
  return {
    async [Symbol.asyncDispose]() {
      // Closing removes the socket's file.
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * Replaces the socket of a process that is gone. One at a time: two would each remove the other's new socket. Whoever is at it holds a
 * socket of its own meanwhile, so that a process killed in this very moment leaves nothing behind that the next one has to wait for.
 */
async function steal(directory: string, path: string): Promise<Server | undefined> {
  const marker = await holdMarker(join(directory, 'take'));
  if (marker === undefined) return undefined;
  try {
    if (await answers(path)) return undefined;
    await rm(path, { force: true });
    return await listen(path);
  } finally {
    await new Promise((resolve) => marker.close(resolve));
  }
}

/** Undefined when someone else is at it. */
async function holdMarker(path: string): Promise<Server | undefined> {
  const held = await listen(path);
  if (held !== undefined || (await answers(path))) return held;
  await rm(path, { force: true });
  return await listen(path);
}

/** Undefined when the path is taken. */
async function listen(path: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  // The lock alone does not keep the process alive.
  server.unref();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return server;
  } catch (thrown) {
    if (errnoName(thrown) === 'EADDRINUSE') return undefined;
    throw thrown;
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Anything but a refusal leaves the owner the benefit of the doubt.
    socket.once('error', (error) => resolve(errnoName(error) !== 'ECONNREFUSED' && errnoName(error) !== 'ENOENT'));
  });
}
