import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const PRODUCTION_FOLDERS = ['cli', 'config', 'exporters', 'receivers', 'simulator', 'sources', 'src'];

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const dependencies = Object.entries(manifest.dependencies);
const page = readFileSync(join(root, 'docs/decisions/dependencies.md'), 'utf8');
const sources = PRODUCTION_FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(root, folder, name), 'utf8')),
);

describe('each runtime dependency', () => {
  it.each(dependencies)('%s has a row in docs/decisions/dependencies.md', (name) => {
    expect(page).toContain(`| \`${name}\` `);
  });

  it.each(dependencies)('%s is imported by production code', (name) => {
    const imports = [`from '${name}'`, `import('${name}')`, `from '${name}/`];
    expect(sources.some((text) => imports.some((one) => text.includes(one)))).toBe(true);
  });

  it.each(dependencies)('%s has an exact version, %s', (_name, version) => {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });
});

describe('the table of runtime dependencies', () => {
  it('has no row for a package that is none', () => {
    const rows = [...page.matchAll(/^\| `([^`]+)` /gm)].map(([, name]) => name);
    expect(rows.filter((name) => name !== undefined && !(name in manifest.dependencies))).toEqual([]);
  });
});
