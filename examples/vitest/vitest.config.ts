import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // One server for the run: TEST_DATABASE_URL, else a container where Docker answers, else the embedded PostgreSQL.
    globalSetup: 'eduschema/testing',
    hookTimeout: 60_000,
  },
});
