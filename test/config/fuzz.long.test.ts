import { describe, expect, it } from 'vitest';
import { loadInput } from '../support/settings.ts';
import { describeMutatedConfigurations } from './mutations.ts';

describe('10,000 mutated configurations', () => {
  describeMutatedConfigurations(10_000);
});

describe('files made to be slow', () => {
  it.each([
    ['sixty thousand keys', `{${Array.from({ length: 60_000 }, (_, index) => `"k${index}":1`).join()}}`],
    ['keys in block form', Array.from({ length: 60_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['many errors', '[],'.repeat(100_000)],
    ['many anchors', '- &a b\n'.repeat(100_000)],
    [
      'aliases of aliases',
      `a: &a [x,x]\n${'bcdefghijkl'.replaceAll(/./g, (name) => `${name}: &${name} [*${String.fromCodePoint((name.codePointAt(0) ?? 0) - 1)},*${String.fromCodePoint((name.codePointAt(0) ?? 0) - 1)}]\n`)}`,
    ],
    ['one long line', `x: ${'a'.repeat(1_000_000)}`],
    ['a list of a hundred thousand runtimes', `{"neuron_runtimes":[${'1,'.repeat(100_000)}1]}`],
    ['a list of ten thousand good runtimes', `{"neuron_runtimes":[${'{"metrics":[]},'.repeat(10_000)}{}]}`],
  ])('%s', (_, text) => {
    const result = loadInput({ text: text.slice(0, 1024 * 1024) });
    expect(result.ok || result.problems.length > 0).toBe(true);
  });
});
