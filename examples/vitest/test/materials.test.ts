import { type TestDatabase, testDatabase } from 'eduschema/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { test } from './database.ts';

describe('with a database a test', () => {
  test('a material is kept', async ({ database: { sql } }) => {
    await sql`INSERT INTO materials (title) VALUES ('신입사원 안내서')`;

    expect(await sql`SELECT title FROM materials`).toEqual([{ title: '신입사원 안내서' }]);
  });

  test('what another test did is not there', async ({ database: { sql } }) => {
    expect(await sql`SELECT title FROM materials`).toEqual([]);
  });

  test('a title is there once', async ({ database: { sql } }) => {
    await sql`INSERT INTO materials (title) VALUES ('안전 교육')`;

    await expect(sql`INSERT INTO materials (title) VALUES ('안전 교육')`).rejects.toMatchObject({
      code: '23505',
    });
  });
});

describe('with a database a file', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await testDatabase();
  });
  afterAll(() => database.drop());

  it('is migrated', async () => {
    expect(await database.sql`SELECT version FROM schema_versions`).toEqual([{ version: '1.0.0' }]);
  });
});
