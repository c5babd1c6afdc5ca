import { it } from 'vitest';
import { expectOnlyBrokenValuesToBeMissing } from './hostile-host.ts';

it('only the broken values of 600 hostile trees are missing, and all come back', async () => {
  await expectOnlyBrokenValuesToBeMissing(Array.from({ length: 600 }, (_, seed) => seed));
});
