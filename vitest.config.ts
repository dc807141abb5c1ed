import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
    // One fewer than the cores is the default: a core idles while a file is read in or a test waits for a child process.
    poolOptions: { forks: { maxForks: Math.max(2, availableParallelism()) } },
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
