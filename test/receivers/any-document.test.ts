import { assert, asyncProperty, boolean, constantFrom, jsonValue, nat, oneof } from 'fast-check';
import { expect, it } from 'vitest';
import { fixtureCases } from '../../scripts/fixtures/cases.ts';
import { Replay, fixtureDocuments } from '../support/replay.ts';

const SMALL = fixtureCases()
  .map(({ name }) => name)
  .filter((name) => name !== 'trn1-32-runtimes');

/** What stands in a mutated record where something else stood. */
const strange = oneof(
  constantFrom<unknown>(null, true, '', 'x', [], {}, -1, 0.5, 2 ** 60, 1e308, '0', [null], { '0': null }, [{}]),
  jsonValue({ maxDepth: 2 }),
);

it('whatever a record says, receivers neither throw nor lose the next good record', async () => {
  await assert(
    asyncProperty(constantFrom(...SMALL), nat(), strange, boolean(), async (name, place, value, everything) => {
      const [good] = fixtureDocuments(name);
      if (good === undefined) throw new Error('empty fixture');
      const replay = new Replay(everything ? { isEnabled: () => true } : {});
      await replay.feed(mutated(good, place, value));
      // A receiver that throws, or records one point twice, counts as internal.
      expect(replay.failures.filter(({ code }) => code === 'internal')).toEqual([]);
      replay.failures.length = 0;
      await replay.feed(good);
      expect(replay.failures).toEqual([]);
    }),
    { numRuns: 1500 },
  );
});

/** The document with the value at its n-th place, in depth-first order, replaced. */
function mutated(document: Readonly<Record<string, unknown>>, place: number, value: unknown): Readonly<Record<string, unknown>> {
  const copy = structuredClone(document);
  const places: { readonly holder: object; readonly key: string }[] = [];
  const visit = (holder: object): void => {
    for (const [key, inner] of Object.entries(holder)) {
      places.push({ holder, key });
      if (typeof inner === 'object' && inner !== null) visit(inner);
    }
  };
  visit(copy);
  const chosen = places[place % places.length];
  if (chosen !== undefined) Reflect.set(chosen.holder, chosen.key, value);
  return copy;
}
