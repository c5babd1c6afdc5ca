import { assert, asyncProperty, boolean, constantFrom, jsonValue, nat, oneof } from 'fast-check';
import { expect } from 'vitest';
import { fixtureCases } from '../../scripts/fixtures/cases.ts';
import { Replay, fixtureDocuments } from './replay.ts';

const SMALL = fixtureCases()
  .map(({ name }) => name)
  .filter((name) => name !== 'trn1-32-runtimes');

/** Values that replace one value of a record. */
const strange = oneof(
  constantFrom<unknown>(null, true, '', 'x', [], {}, -1, 0.5, 2 ** 60, 1e308, '0', [null], { '0': null }, [{}]),
  jsonValue({ maxDepth: 2 }),
);

/** Feeds `runs` records with one value replaced, and expects no receiver to throw or to lose the good record that follows. */
export async function expectAnyDocumentToBeReceived(runs: number): Promise<void> {
  await assert(
    asyncProperty(constantFrom(...SMALL), nat(), strange, boolean(), async (name, position, value, everything) => {
      const [good] = fixtureDocuments(name);
      if (good === undefined) throw new Error('empty fixture');
      const replay = new Replay(everything ? { isEnabled: () => true } : {});
      await replay.feed(mutated(good, position, value));
      // A receiver that throws, or records one point twice, counts as internal.
      expect(replay.failures.filter(({ code }) => code === 'internal')).toEqual([]);
      replay.failures.length = 0;
      await replay.feed(good);
      expect(replay.failures).toEqual([]);
    }),
    { numRuns: runs },
  );
}

/** Returns the document with its n-th value, in depth-first order, replaced. */
function mutated(document: Readonly<Record<string, unknown>>, position: number, value: unknown): Readonly<Record<string, unknown>> {
  const copy = structuredClone(document);
  const values: { readonly holder: object; readonly key: string }[] = [];
  const visit = (holder: object): void => {
    for (const [key, inner] of Object.entries(holder)) {
      values.push({ holder, key });
      if (typeof inner === 'object' && inner !== null) visit(inner);
    }
  };
  visit(copy);
  const chosen = values[position % values.length];
  if (chosen !== undefined) Reflect.set(chosen.holder, chosen.key, value);
  return copy;
}
