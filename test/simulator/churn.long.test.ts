import { test } from 'vitest';
import { expectChurnInEveryOutput } from './support/churn.ts';

test('every output has the living ones of 10,000 processes under 68 pids, each with its own values', async () => {
  await expectChurnInEveryOutput(10_000);
});
