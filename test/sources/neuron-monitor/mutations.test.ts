import { expect, it } from 'vitest';
import { expectBadLinesToBeLostOnce } from './mutated-lines.ts';

it('each of 500 bad lines is lost once, and the good line after it is read', async () => {
  expect(await expectBadLinesToBeLostOnce(20)).toBeGreaterThan(400);
});
