import { describe } from 'vitest';
import { describeMutatedConfigurations } from './mutations.ts';

describe('1,000 mutated configurations', () => {
  describeMutatedConfigurations(1_000);
});
