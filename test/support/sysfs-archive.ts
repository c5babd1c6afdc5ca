import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { scratchDirectory } from './scratch.ts';

/**
 * A directory tree as one text: a line for each directory, then its files indented. A file is `name 123` for a number and a line
 * end, `name "text"` for anything else, `name -> target` for a link.
 */
const fixtureFolder = resolve(import.meta.dirname, '../fixtures/sysfs');

export function archiveNames(): readonly string[] {
  return readdirSync(fixtureFolder)
    .filter((name) => name.endsWith('.txt'))
    .map((name) => name.slice(0, -4))
    .toSorted();
}

/** An archive among the fixtures; `GOLDEN=update` writes it first. */
export function archive(name: string, fresh: string): string {
  const file = join(fixtureFolder, `${name}.txt`);
  if (process.env['GOLDEN'] === 'update') writeFileSync(file, fresh);
  return readFileSync(file, 'utf8');
}

export function packTree(root: string, keep: (path: string) => boolean): string {
  const lines: string[] = [];
  const visit = (directory: string): void => {
    const entries = readdirSync(join(root, directory), { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const kept = entries.filter((entry) => keep(join(directory, entry.name)));
    const files = kept.filter((entry) => !entry.isDirectory());
    if (files.length > 0) lines.push(directory);
    for (const file of files) {
      const path = join(root, directory, file.name);
      if (file.isSymbolicLink()) lines.push(`  ${file.name} -> ${readlinkSync(path)}`);
      else lines.push(`  ${file.name} ${packed(readFileSync(path, 'latin1'))}`);
    }
    for (const entry of kept) if (entry.isDirectory()) visit(join(directory, entry.name));
  };
  visit('.');
  return `${lines.join('\n')}\n`;
}

function packed(text: string): string {
  return /^\d+\n$/.test(text) ? text.trimEnd() : JSON.stringify(text);
}

/** Unpacks an archive into a new temporary directory, which `[Symbol.dispose]` removes. */
export function unpackArchive(name: string): { readonly root: string; [Symbol.dispose](): void } {
  return unpack(readFileSync(join(fixtureFolder, `${name}.txt`), 'utf8'));
}

/**
 * Files named `reset` become named pipes: whoever opens one to read it hangs for ever. Reading a device's `reset` is harmless in
 * the kernel, but nothing that can reset a device should be as much as opened.
 */
export function unpack(text: string): { readonly root: string; [Symbol.dispose](): void } {
  const scratch = scratchDirectory();
  const root = scratch.path;
  const pipes: string[] = [];
  let directory = '.';
  for (const line of text.split('\n')) {
    const [, name, rest] = /^ {2}(\S+) (.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) {
      directory = line;
      continue;
    }
    const path = join(root, directory, name);
    mkdirSync(dirname(path), { recursive: true });
    if (name === 'reset') pipes.push(path);
    else if (rest.startsWith('-> ')) symlinkSync(rest.slice(3), path);
    else writeFileSync(path, rest.startsWith('"') ? String(JSON.parse(rest)) : `${rest}\n`, 'latin1');
  }
  if (pipes.length > 0) execFileSync('mkfifo', pipes);
  return { root, [Symbol.dispose]: () => scratch[Symbol.dispose]() };
}
