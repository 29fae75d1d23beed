import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { testDatabase } from 'eduschema/testing';

/** @type {import('eduschema/testing').TestDatabase} */
let database;
before(async () => {
  database = await testDatabase();
});
after(() => database.drop());

test('a material is kept', async () => {
  const { sql } = database;
  await sql`INSERT INTO materials (title) VALUES ('신입사원 안내서')`;
  assert.deepEqual(
    Array.from(await sql`SELECT title FROM materials`, ({ title }) => title),
    ['신입사원 안내서'],
  );
});
