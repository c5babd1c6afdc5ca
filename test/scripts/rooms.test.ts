import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { scratchDirectory } from '../support/scratch.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ROOMS = ['src', 'sources', 'receivers', 'exporters', 'config', 'simulator', 'cli'];

/** The rooms that each room may import, beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  src: [],
  sources: ['src'],
  receivers: ['src'],
  exporters: ['src'],
  config: ['src'],
  simulator: ['src'],
  cli: ROOMS,
};

const ARROWS = ROOMS.flatMap((from) => ROOMS.filter((to) => to !== from).map((to) => ({ from, to })));

/** Files that oxlint complains about, of a tree that has the project's lint configuration and the given files. */
function refused(files: Readonly<Record<string, string>>): ReadonlySet<string> {
  using folder = scratchDirectory();
  const { rules, overrides, plugins } = JSON.parse(readFileSync(join(ROOT, '.oxlintrc.json'), 'utf8'));
  const rule = 'eslint/no-restricted-imports';
  const restrictions = overrides.map((one: { files: readonly string[]; rules: Record<string, unknown> }) => ({
    files: one.files,
    rules: rule in one.rules ? { [rule]: one.rules[rule] } : {},
  }));
  const config = { plugins, categories: { correctness: 'off' }, rules: { [rule]: rules[rule] }, overrides: restrictions };
  writeFileSync(join(folder.path, '.oxlintrc.json'), JSON.stringify(config));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  }
  const arguments_ = [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--format', 'unix', '.'];
  const output = run(arguments_, folder.path);
  return new Set(Object.keys(files).filter((path) => output.includes(`${path}:`)));
}

/** oxlint exits with 1 when it finds something. */
function run(arguments_: readonly string[], cwd: string): string {
  try {
    return execFileSync(process.execPath, arguments_, { cwd, encoding: 'utf8' });
  } catch (thrown) {
    if (thrown instanceof Error && 'stdout' in thrown && typeof thrown.stdout === 'string') return thrown.stdout;
    throw thrown;
  }
}

describe('the import rules of rooms', () => {
  const shallow = ARROWS.map(({ from, to }) => [`${from}/to-${to}.ts`, `import '../${to}/planted.ts';\n`] as const);
  const deep = ARROWS.map(({ from, to }) => [`${from}/a/b/to-${to}.ts`, `export * from '../../../${to}/planted.ts';\n`] as const);
  const processes = ROOMS.map((room) => [`${room}/process.ts`, "import 'node:child_process';\n"] as const);
  const child = 'sources/neuron-monitor/child.ts';
  const found = refused(
    Object.fromEntries([
      ...shallow,
      ...deep,
      ...processes,
      [child, "import 'node:child_process';\nimport '../../exporters/planted.ts';\n"],
    ]),
  );

  it.each(ARROWS)('oxlint judges an import of $to/ in $from/ by the plan', ({ from, to }) => {
    expect(found.has(`${from}/to-${to}.ts`)).toBe(MAY_IMPORT[from]?.includes(to) === false);
  });

  it.each(ARROWS)('oxlint judges an import of $to/ deep inside $from/ by the plan', ({ from, to }) => {
    expect(found.has(`${from}/a/b/to-${to}.ts`)).toBe(MAY_IMPORT[from]?.includes(to) === false);
  });

  it.each(ROOMS)('oxlint refuses an import of node:child_process in %s/', (room) => {
    expect(found.has(`${room}/process.ts`)).toBe(true);
  });

  it('oxlint refuses an exporter in the one file that may start processes', () => {
    expect(found.has(child)).toBe(true);
  });

  it('oxlint accepts node:child_process in the one file that may start processes', () => {
    expect(refused({ [child]: "import 'node:child_process';\n" })).toEqual(new Set());
  });

  it('oxlint accepts neighbours inside a room whose folders have the names of rooms', () => {
    expect(refused({ 'exporters/otlp/x.ts': "import './config/y.ts';\nimport '../wire/z.ts';\n" })).toEqual(new Set());
  });
});
