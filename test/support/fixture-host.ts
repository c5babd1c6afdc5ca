import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Host } from '../../src/host.ts';
import { ManualClock } from './manual-clock.ts';
import { scratchDirectory } from './scratch.ts';

/** A folder of its own for one test, removed when the test ends. */
export function temporaryFolder(): string {
  const scratch = scratchDirectory();
  onTestFinished(() => scratch[Symbol.dispose]());
  return scratch.path;
}

/** Writes files below `root`: path → content. */
export function writeTree(root: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

/** A host whose roots are `proc`, `sys`, `dev` and `fs` below one folder, with time that a test moves. */
export function fixtureHost(root: string, overrides: Partial<Host> = {}): Host & { readonly clock: ManualClock } {
  return {
    env: {},
    procRoot: join(root, 'proc'),
    sysRoot: join(root, 'sys'),
    devRoot: join(root, 'dev'),
    fsRoot: join(root, 'fs'),
    ...overrides,
    clock: overrides.clock instanceof ManualClock ? overrides.clock : new ManualClock(),
  };
}
