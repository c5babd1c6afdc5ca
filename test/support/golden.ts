import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect } from 'vitest';

const goldenFolder = resolve(import.meta.dirname, '../golden');

/**
 * Compares with `test/golden/<path>`; `GOLDEN=update` writes that file instead. What is not text is compared as indented JSON.
 */
export function expectGolden(path: string, actual: unknown): void {
  const file = join(goldenFolder, path);
  const text = typeof actual === 'string' ? actual : `${JSON.stringify(actual, null, 2)}\n`;
  if (process.env['GOLDEN'] === 'update') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return;
  }
  expect(text, `differs from test/golden/${path}; if that is right: GOLDEN=update`).toBe(readFileSync(file, 'utf8'));
}
