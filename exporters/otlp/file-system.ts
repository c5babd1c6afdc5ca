import * as fs from 'node:fs/promises';

/** An open file, as far as the queue uses it. */
export interface QueueFile {
  /** Bytes read; fewer than asked for at the end of the file. */
  read(buffer: Buffer, position: number): Promise<number>;
  /** Writes everything, or rejects. */
  write(buffers: readonly Buffer[], position: number): Promise<void>;
  truncate(size: number): Promise<void>;
  sync(): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** The file system, as far as the queue uses it. Rejects with the operating system's errors. */
export interface QueueFileSystem {
  makeDirectory(path: string): Promise<void>;
  list(path: string): Promise<string[]>;
  /** `create` demands a new file; every new file has mode 0600. */
  open(path: string, mode: 'create' | 'update' | 'read'): Promise<QueueFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
}

const PRIVATE_DIRECTORY = 0o700;
const PRIVATE_FILE = 0o600;
const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_NOFOLLOW } = fs.constants;
/** Links are not followed: whoever could place one would choose which file is overwritten. */
const FLAGS = {
  create: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
  update: O_RDWR | O_CREAT | O_NOFOLLOW,
  read: O_RDONLY | O_NOFOLLOW,
} as const;

export const nodeFileSystem: QueueFileSystem = {
  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY });
  },
  list: (path) => fs.readdir(path),
  open: async (path, mode) => queueFile(await fs.open(path, FLAGS[mode], PRIVATE_FILE)),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.unlink(path),
};

function queueFile(handle: fs.FileHandle): QueueFile {
  return {
    async read(buffer, position) {
      let total = 0;
      while (total < buffer.length) {
        const { bytesRead } = await handle.read(buffer, total, buffer.length - total, position + total);
        if (bytesRead === 0) break;
        total += bytesRead;
      }
      return total;
    },
    async write(buffers, position) {
      const { bytesWritten } = await handle.writev(buffers, position);
      await writeRest(handle, buffers, position, bytesWritten);
    },
    truncate: (size) => handle.truncate(size),
    sync: () => handle.datasync(),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}

/** A nearly full disk takes a part and refuses the rest with its error at the next attempt. */
async function writeRest(handle: fs.FileHandle, buffers: readonly Buffer[], position: number, written: number): Promise<void> {
  const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  if (written === total) return;
  const rest = Buffer.concat(buffers).subarray(written);
  for (let at = 0; at < rest.length;) {
    const { bytesWritten } = await handle.write(rest, at, rest.length - at, position + written + at);
    at += bytesWritten;
  }
}
