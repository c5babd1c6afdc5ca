import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errnoName } from '../src/file-error.ts';

/** Where a machine keeps files in memory. */
const IN_MEMORY = '/dev/shm';

/** A new directory for a virtual host, in memory where the machine has such a place; disposal removes it with all it holds. */
export function createVirtualDirectory(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(isWritable(IN_MEMORY) ? IN_MEMORY : tmpdir(), 'neuron-otel-virtual-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (thrown) {
    if (errnoName(thrown) === undefined) throw thrown;
    return false;
  }
}
