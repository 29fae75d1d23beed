import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** Tests that need no server. Everything else gets one. */
const unit = ['test/*.test.ts', 'test/{sql,output}/**/*.test.ts', 'test/**/*.unit.test.ts'];

/** Tests of the embedded server start their own. */
const embedded = ['test/db/embedded/**/*.test.ts', 'test/cli/db.test.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: Math.max(2, availableParallelism()),
    // A process keeps what it has loaded for its next file; a sixth of the time of the suite.
    isolate: false,
    testTimeout: 60_000,
    // Locks, kills and signals are tested as they happen, and a machine can be busy: the report names a second try.
    retry: process.env.CI ? 2 : 0,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'unit', include: unit, exclude: embedded } },
      { extends: true, test: { name: 'embedded', include: embedded } },
      {
        extends: true,
        test: {
          name: 'database',
          include: ['test/**/*.test.ts'],
          exclude: [...unit, ...embedded],
          globalSetup: 'test/helpers/global-setup.ts',
        },
      },
    ],
  },
});
