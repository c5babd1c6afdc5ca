import { test } from 'vitest';
import { expectNothingLeftBehind } from './support.ts';

test('10,000 processes that come and go leave nothing behind', () => {
  expectNothingLeftBehind(10_000);
});
