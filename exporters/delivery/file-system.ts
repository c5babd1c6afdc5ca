import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { readRegularFileLater } from '../../src/regular-file.ts';
import { errnoName } from '../../src/file-error.ts';

/** The file system, as far as the queue uses it. Functions reject with the operating system's errors, and never wait for a FIFO. */
export interface QueueFileSystem {
  /** Makes a folder of mode 0700 with its parents; one that exists is left as it is. */
  makeDirectory(path: string): Promise<void>;
  /** All names, each with the answer whether it is a regular file. */
  list(path: string): Promise<readonly { readonly name: string; readonly isFile: boolean }[]>;
  /** Writes a new file of mode 0600 and waits until the disk has it. What a failed attempt leaves behind is removed. */
  write(path: string, buffers: readonly Buffer[]): Promise<void>;
  /** Reads a regular file up to `maxBytes`. */
  read(path: string, maxBytes: number): Promise<Buffer>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
}

const PRIVATE_DIRECTORY = 0o700;
const PRIVATE_FILE = 0o600;
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;

export const nodeFileSystem: QueueFileSystem = {
  makeDirectory,
  async list(path) {
    const entries = await fs.readdir(path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isFile: entry.isFile() }));
  },
  async write(path, buffers) {
    // Links are not followed: whoever could put one there would choose which file is overwritten.
    const handle = await fs.open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, PRIVATE_FILE);
    try {
      await handle.writeFile(buffers.length === 1 ? (buffers[0] ?? '') : Buffer.concat(buffers));
      await handle.datasync();
    } catch (thrown) {
      await handle.close();
      // The first error is the one that explains.
      await fs.unlink(path).catch(() => {});
      throw thrown;
    }
    await handle.close();
  },
  read: (path, maxBytes) => readRegularFileLater(path, maxBytes, { followsLinks: false }),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.unlink(path),
};

/**
 * Node's own recursive form tries for ever where the parent exists and `mkdir` answers ENOENT all the same, as below `/proc`: this one
 * tries each folder twice at most.
 */
async function makeDirectory(path: string): Promise<void> {
  try {
    await fs.mkdir(path, { mode: PRIVATE_DIRECTORY });
    return;
  } catch (thrown) {
    if (errnoName(thrown) === 'EEXIST') {
      if ((await fs.stat(path)).isDirectory()) return;
      throw thrown;
    }
    if (errnoName(thrown) !== 'ENOENT' || dirname(path) === path) throw thrown;
  }
  await makeDirectory(dirname(path));
  try {
    await fs.mkdir(path, { mode: PRIVATE_DIRECTORY });
  } catch (thrown) {
    // Another process may have made it meanwhile.
    if (errnoName(thrown) !== 'EEXIST') throw thrown;
  }
}
