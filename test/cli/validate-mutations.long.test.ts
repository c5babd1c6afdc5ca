import { it } from 'vitest';
import { expectMutationsToBeValidated } from '../support/validate-mutations.ts';

it('validate ends 10,000 mutated configurations with 0 or 78 and never prints a stack', async () => {
  await expectMutationsToBeValidated(10_000);
});
