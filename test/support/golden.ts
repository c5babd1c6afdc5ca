import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect } from 'vitest';

const goldenFolder = resolve(import.meta.dirname, '../golden');

/**
 * Compares with `test/golden/<path>`; `GOLDEN=update` writes that file instead. A value that is not text is compared as JSON, in which lists and objects of
 * plain values fill lines of up to 140 characters.
 */
export function expectGolden(path: string, actual: unknown): void {
  const file = join(goldenFolder, path);
  const text = typeof actual === 'string' ? actual : `${jsonText(actual, '')}\n`;
  if (process.env['GOLDEN'] === 'update') {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return;
  }
  expect(text, `differs from test/golden/${path}; if that is right: GOLDEN=update`).toBe(readFileSync(file, 'utf8'));
}

const WIDTH = 140;

function jsonText(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  const inner = `${indent}  `;
  const members = Array.isArray(value)
    ? value.map((item: unknown) => jsonText(item, inner))
    : Object.entries(value).flatMap(([key, member]) =>
        member === undefined ? [] : [`${JSON.stringify(key)}: ${jsonText(member, inner)}`],
      );
  const onOneLine = `${open}${members.join(', ')}${close}`;
  if (!onOneLine.includes('\n') && indent.length + onOneLine.length <= WIDTH) return onOneLine;
  const isNested = Object.values(value).some((member) => typeof member === 'object' && member !== null);
  const lines = isNested ? members.join(`,\n${inner}`) : filled(members, inner);
  return `${open}\n${inner}${lines}\n${indent}${close}`;
}

/** Puts as many members on each line as fit. */
function filled(members: readonly string[], indent: string): string {
  const lines: string[] = [];
  for (const member of members) {
    const last = lines.at(-1);
    if (last !== undefined && indent.length + last.length + member.length + 3 <= WIDTH) lines[lines.length - 1] = `${last}, ${member}`;
    else lines.push(member);
  }
  return lines.join(`,\n${indent}`);
}
