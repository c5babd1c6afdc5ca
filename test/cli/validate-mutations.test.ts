import { it } from 'vitest';
import { expectMutationsToBeValidated } from '../support/validate-mutations.ts';

it('validate ends 200 mutated configurations with 0 or 78 and never prints a stack', async () => {
  await expectMutationsToBeValidated(200);
});
