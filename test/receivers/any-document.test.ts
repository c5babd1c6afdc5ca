import { it } from 'vitest';
import { expectAnyDocumentToBeReceived } from '../support/any-document.ts';

it('receivers neither throw at 200 strange records nor lose the good record that follows', async () => {
  await expectAnyDocumentToBeReceived(200);
});
