import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: resolve(import.meta.dirname, '../..'),
  test: {
    include: ['test/e2e/**/*.test.ts'],
    // Real processes that start, scrape and stop: generous, and one file at a time on a small machine.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
    // A test whose loop runs zero times asserts nothing, and fails.
    expect: { requireAssertions: true },
  },
});
