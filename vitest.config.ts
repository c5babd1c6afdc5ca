import { defineConfig } from 'vitest/config';

/** Tests that answer in seconds: `npm test`. Each file of more than five seconds is a `*.long.test.ts`. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.long.test.ts', 'test/e2e/**', 'test/soak/**', 'node_modules/**'],
    // Each core gets a worker; by default one core is left for the main process, which hardly needs it.
    maxWorkers: '100%',
    // Modules hold no state, so files may share a worker: half the CPU time of a worker for each file.
    isolate: false,
    // Ten times what the slowest test needs on a calm machine.
    testTimeout: 60_000,
    restoreMocks: true,
    // A test whose loop runs zero times asserts nothing, and fails.
    expect: { requireAssertions: true },
  },
});
