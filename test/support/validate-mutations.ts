import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { cli } from './cli.ts';
import { scratchDirectory } from './scratch.ts';

const EXAMPLES = 'config/examples';
const SNIPPETS = [
  '__proto__',
  'constructor',
  'null',
  '[]',
  '{}',
  '"',
  ':',
  '\n',
  '\t',
  '  ',
  '-1s',
  '1e400',
  '&a',
  '*a',
  '<<',
  '${env:X}',
  '\u0000',
  '💥',
];

/** Numerical Recipes' generator: the same mutations in every run. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function mutate(text: string, random: (below: number) => number): string {
  let mutated = text;
  for (let change = random(4); change >= 0; change -= 1) {
    const at = random(mutated.length + 1);
    const length = random(12);
    const kinds = [
      () => mutated.slice(0, at),
      () => mutated.slice(0, at) + mutated.slice(at + length),
      () => mutated.slice(0, at) + (SNIPPETS[random(SNIPPETS.length)] ?? '') + mutated.slice(at),
      () => mutated.slice(0, at) + String.fromCodePoint(random(0x2f_ff)) + mutated.slice(at + 1),
      () => mutated.slice(0, at) + mutated.slice(at, at + length) + mutated.slice(at),
    ];
    mutated = kinds[random(kinds.length)]?.() ?? mutated;
  }
  return mutated;
}

/** Validates `runs` mutated example configurations, and expects each to end with 0 or 78 and to print no stack. */
export async function expectMutationsToBeValidated(runs: number): Promise<void> {
  using folder = scratchDirectory();
  const random = sequence(2026);
  const originals = readdirSync(EXAMPLES).map((name) => readFileSync(join(EXAMPLES, name), 'utf8'));
  const path = join(folder.path, 'config');
  const exitCodes = new Set<number>();
  for (let run = 0; run < runs; run += 1) {
    const text = mutate(originals[run % originals.length] ?? '', random);
    writeFileSync(path, text);
    const { exitCode, stdout, stderr } = await cli(['validate', '-c', path, '--verbose', '1']);
    exitCodes.add(exitCode);
    expect(stderr, text).not.toMatch(/\n\s+at |internal error/);
    expect(stdout, text).toMatch(exitCode === 0 ? /valid/ : /^$/);
  }
  expect([...exitCodes].toSorted()).toEqual([0, 78]);
}
