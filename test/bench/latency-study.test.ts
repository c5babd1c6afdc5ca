import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cellsOf, fleetRows, singleHostRows } from '../../bench/latency-study.ts';
import type { Row } from '../../bench/latency-study.ts';

/** The sizes that take no time; `npm run bench -- latency-study --write` renews the document with all of them. */
const SIZES = [5, 20, 100];

const lines = readFileSync(new URL('../../docs/decisions/latency-histograms.md', import.meta.url), 'utf8')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()));

function missing(rows: readonly Row[]): readonly (readonly string[])[] {
  const written = new Set(lines.map((cells) => cells.slice(1, -1).join('|')));
  return rows.map(cellsOf).filter((cells) => !written.has(cells.join('|')));
}

describe('docs/decisions/latency-histograms.md', () => {
  it.each([
    ['one host', () => singleHostRows(SIZES)],
    ['a fleet of like hosts', () => fleetRows(false, SIZES)],
    ['a mixed fleet', () => fleetRows(true, SIZES)],
  ])('says what the study gives: %s', (_, rows) => {
    expect(missing(rows())).toEqual([]);
  });

  it('and what is said of a mixed fleet holds', () => {
    const mixed = fleetRows(true, SIZES);
    const worse = mixed.filter(({ exponential, averaged }) => Math.abs(exponential[0] ?? 1) >= Math.abs(averaged[0] ?? 0));
    expect(worse).toEqual([]);
    const within = mixed.filter(({ distribution }) => distribution !== 'bimodal').flatMap(({ exponential }) => exponential);
    expect(Math.max(...within.map((error) => Math.abs(error ?? 1)))).toBeLessThan(0.08);
  });
});
