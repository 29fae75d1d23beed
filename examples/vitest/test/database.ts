import { type TestDatabase, testDatabase } from 'eduschema/testing';
import { test as base } from 'vitest';

/** A test with a database of its own: `test('...', async ({ database }) => ...)`. */
export const test = base.extend<{ database: TestDatabase }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the fixtures that one needs from its first parameter
  database: async ({}, use) => {
    const database = await testDatabase();
    await use(database);
    await database.drop();
  },
});
