import { describe, expect, it } from 'vitest';
import { firstMatch, parseTagFilter } from '../../config/tag-filter.ts';
import { EVIL_PATTERNS, HOSTILE_TAGS } from '../support/evil-patterns.ts';

function matches(pattern: string, tag: string): boolean {
  const filter = parseTagFilter(pattern);
  if (!filter.ok) throw new Error(filter.reason);
  return filter.value(tag);
}

describe('tag filters', () => {
  it.each([
    ['', 'x', true],
    ['.*', '', true],
    ['b', 'abc', true],
    ['^b', 'abc', false],
    ['^a.c$', 'abc', true],
    ['(?i)ABC', 'abc', true],
    ['\\d+', 'pid-42', true],
    ['^\\p{L}+$', 'größe', true],
    ['a|b', 'xb', true],
    ['^.$', '😀', true],
  ])('%j finds %j: %s', (pattern, tag, expected) => {
    expect(matches(pattern, tag)).toBe(expected);
  });

  it(`${EVIL_PATTERNS.length} evil patterns against hostile tags of 255 characters end`, () => {
    expect(EVIL_PATTERNS).toHaveLength(200);
    for (const pattern of EVIL_PATTERNS) for (const tag of HOSTILE_TAGS) expect(typeof matches(pattern, tag)).toBe('boolean');
  });

  it('verdicts are remembered, within a bound', () => {
    let asked = 0;
    const entry = {
      get tagFilter(): string {
        asked += 1;
        return '^tag-(1|5)';
      },
    };
    const select = firstMatch([entry]);
    const compiledOnce = asked;
    for (let index = 0; index < 20_000; index += 1) select(`tag-${index}`);
    expect(asked).toBe(compiledOnce);
    expect(select('tag-1')).toBe(entry);
    expect(select('tag-2')).toBeUndefined();
  });
});
