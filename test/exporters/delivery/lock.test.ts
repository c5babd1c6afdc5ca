import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../../exporters/delivery/lock.ts';
import type { DirectoryLock } from '../../../exporters/delivery/lock.ts';

const LOCK_MODULE = resolve(import.meta.dirname, '../../../exporters/delivery/lock.ts');

let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'otlp-lock-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function lock(path = directory): Promise<DirectoryLock | undefined> {
  return lockDirectory(path);
}

/** A process that takes the lock, says so, and then does nothing. */
async function holder() {
  const script = `const { lockDirectory } = await import(${JSON.stringify(LOCK_MODULE)});
    await lockDirectory(${JSON.stringify(directory)}); console.log('locked'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

/** A process that listens on a socket. */
async function listener(path: string) {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('listening'));`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

describe('lockDirectory', () => {
  it('lets one in at a time', async () => {
    const first = await lock();
    expect(await lock()).toBeUndefined();
    await first?.[Symbol.asyncDispose]();
    expect(readdirSync(directory)).toEqual([]);
    const second = await lock();
    expect(second).toBeDefined();
    await second?.[Symbol.asyncDispose]();
  });

  it('belongs to a process, and is free when that was killed', async () => {
    const child = await holder();
    expect(await lock()).toBeUndefined();
    child.kill('SIGSTOP');
    expect(await lock()).toBeUndefined();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readdirSync(directory)).toEqual(['lock']);
    const next = await lock();
    expect(next).toBeDefined();
    await next?.[Symbol.asyncDispose]();
  });

  it('lets only one of many have what a killed process left behind', async () => {
    const child = await holder();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const locks = await Promise.all(Array.from({ length: 20 }, () => lock()));
    const held = locks.filter((one) => one !== undefined);
    expect(held).toHaveLength(1);
    await held[0]?.[Symbol.asyncDispose]();
  });

  it('does not wait for a process that was killed while it took over', async () => {
    for (const child of [await holder(), await listener(join(directory, 'take'))]) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(readdirSync(directory).toSorted()).toEqual(['lock', 'take']);
    const next = await lock();
    expect(next).toBeDefined();
    expect(readdirSync(directory)).toEqual(['lock']);
    await next?.[Symbol.asyncDispose]();
  });

  it('leaves a process alone that is taking over', async () => {
    const child = await holder();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const other = await listener(join(directory, 'take'));
    expect(await lock()).toBeUndefined();
    other.kill('SIGKILL');
    await once(other, 'exit');
    const next = await lock();
    expect(next).toBeDefined();
    await next?.[Symbol.asyncDispose]();
  });

  it('rejects when there is no such folder, and when its name is too long for a socket', async () => {
    await expect(lock(join(directory, 'none'))).rejects.toMatchObject({ code: expect.stringMatching(/EACCES|ENOENT/) });
    await expect(lock(join(directory, 'x'.repeat(120)))).rejects.toThrow('longer than 107 bytes');
  });
});
