import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');

/** Files that the tables of the page name as the steps of one number, from a heading to the next. */
function steps(from: string): readonly string[] {
  const section = page.slice(page.indexOf(from));
  const table = /\n\n(\|[^]*?)\n\n/.exec(section)?.[1] ?? '';
  return [...table.matchAll(/^\| \d+ +\| `([^`]+)`/gm)].map(([, path = '']) => path);
}

/** Most files that may execute, by the first column of the page's last table about them. */
function limit(work: string): number {
  return Number(new RegExp(String.raw`^\| ${work}[^|]*\| (\d+)`, 'm').exec(page)?.[1]);
}

const toStore = steps('From the pipe to the store:');
const toPage = steps('From the store to `/metrics`:');
const toOtlp = steps('From the store to an OTLP destination:');

describe('the way of one number', () => {
  let executed: { readonly record: readonly string[]; readonly scrape: readonly string[] };

  beforeAll(() => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(import.meta.dirname, 'executed-files.ts')], {
      cwd: root,
      encoding: 'utf8',
      timeout: 60_000,
    });
    if (status !== 0) throw new Error(`the run with coverage ended with ${status}: ${stderr}`);
    executed = JSON.parse(stdout) as typeof executed;
  }, 90_000);

  it('is written down from the pipe to the store', () => {
    expect(toStore.length).toBeGreaterThan(5);
  });

  it('reaches the page after thirteen files at most', () => {
    expect(toStore.length + toPage.length).toBeLessThanOrEqual(13);
    expect(toPage.length).toBeGreaterThan(2);
  });

  it('reaches an OTLP destination after fourteen files at most', () => {
    expect(toStore.length + toOtlp.length).toBeLessThanOrEqual(14);
    expect(toOtlp.length).toBeGreaterThan(2);
  });

  it('passes each file of the tables when a record arrives and is exported', () => {
    expect([...toStore, ...toOtlp].filter((path) => !executed.record.includes(path))).toEqual([]);
  });

  it('passes each file of the table when the page is scraped', () => {
    expect(toPage.filter((path) => !executed.scrape.includes(path))).toEqual([]);
  });

  it('never passes a file twice on its way to the page', () => {
    const path = [...toStore, ...toPage];
    expect(new Set(path).size).toBe(path.length);
  });

  it.each([
    ['one record', () => executed.record],
    ['one scrape', () => executed.scrape],
  ])('executes no more files for %s than the page states', (work, files) => {
    expect(files().length, files().join('\n')).toBeLessThanOrEqual(limit(work));
    expect(limit(work)).toBeGreaterThan(0);
  });
});
