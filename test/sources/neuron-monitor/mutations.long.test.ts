import { expect, it } from 'vitest';
import { expectBadLinesToBeLostOnce } from './mutated-lines.ts';

it('each of 10,000 bad lines is lost once, and the good line after it is read', async () => {
  expect(await expectBadLinesToBeLostOnce(1)).toBeGreaterThan(10_000);
});
