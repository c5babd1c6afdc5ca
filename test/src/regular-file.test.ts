import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRegularFile, readRegularFileLater, unreadable } from '../../src/regular-file.ts';
import { scratchDirectory } from '../support/scratch.ts';

const folder = scratchDirectory();
const at = (name: string): string => join(folder.path, name);
const server = createServer();

beforeAll(async () => {
  execFileSync('mkfifo', [at('fifo')]);
  mkdirSync(at('folder'));
  symlinkSync('/dev/zero', at('link to zero'));
  symlinkSync(at('fifo'), at('link to fifo'));
  symlinkSync(at('loop'), at('loop'));
  writeFileSync(at('large'), 'x'.repeat(1025));
  writeFileSync(at('full'), 'x'.repeat(1024));
  writeFileSync(at('empty'), '');
  symlinkSync(at('full'), at('link to full'));
  await new Promise<void>((resolve) => {
    server.listen(at('socket'), () => resolve());
  });
});
afterAll(() => {
  server.close();
  folder[Symbol.dispose]();
});

const REFUSED: readonly (readonly [name: string, reason: RegExp])[] = [
  ['fifo', /it is a FIFO, not a regular file/],
  ['link to fifo', /it is a FIFO, not a regular file/],
  ['folder', /it is a folder, not a regular file/],
  ['link to zero', /it is a device, not a regular file/],
  ['/dev/zero', /it is a device, not a regular file/],
  ['/dev/full', /it is a device, not a regular file/],
  ['socket', /ENXIO/],
  ['loop', /ELOOP/],
  ['none', /ENOENT/],
  ['full/below', /ENOTDIR/],
  ['large', /it is larger than 1024 bytes/],
];

describe('a regular file', () => {
  it.each(REFUSED)('refuses %s at once', (name, reason) => {
    expect(() => readRegularFile(name.startsWith('/') ? name : at(name), 1024)).toThrow(reason);
  });

  it.each(REFUSED)('refuses %s at once without holding up the agent', async (name, reason) => {
    await expect(readRegularFileLater(name.startsWith('/') ? name : at(name), 1024)).rejects.toThrow(reason);
  });

  it.each([
    ['full', 1024],
    ['link to full', 1024],
    ['empty', 0],
  ])('reads all of %s', async (name, bytes) => {
    expect(readRegularFile(at(name), 1024)).toHaveLength(bytes);
    expect(await readRegularFileLater(at(name), 1024)).toEqual(readRegularFile(at(name), 1024));
  });

  it('reads files of /proc, whose size is not known before', () => {
    expect(readRegularFile('/proc/self/status', 65_536).toString()).toContain('VmRSS');
  });

  it('explains why a file cannot be read, and says nothing of one that can', () => {
    expect(unreadable(at('none'), 1024)).toBe('cannot be read: ENOENT');
    expect(unreadable(at('fifo'), 1024)).toBe('cannot be read: it is a FIFO, not a regular file');
    expect(unreadable(at('full'), 1024)).toBeUndefined();
  });
});
