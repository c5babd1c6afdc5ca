import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests of more than five seconds: `npm run test:long`. */
export default defineConfig({
  root: resolve(import.meta.dirname, '..'),
  test: {
    include: ['test/**/*.long.test.ts'],
    exclude: ['test/e2e/**', 'test/soak/**'],
    maxWorkers: '100%',
    isolate: false,
    // Ten times what the slowest needs on a calm machine.
    testTimeout: 600_000,
    restoreMocks: true,
    // A test whose loop runs zero times asserts nothing, and fails.
    expect: { requireAssertions: true },
  },
});
