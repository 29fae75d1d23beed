import { resolve } from 'node:path';
import type postgres from 'postgres';
import { createClones } from '../../src/testdb/testdb.ts';
import { dropDatabase, type TestDatabase, takeDatabase, targetOf, urlOf } from '../helpers/database.ts';

/** A test over the whole education schema, freshly migrated: `test('...', withLibrary(async ({ sql }) => ...))` */
export function withLibrary(use: (database: TestDatabase) => Promise<void>): () => Promise<void> {
  return async () => {
    const settings = {
      directory: resolve('migrations'),
      shownDirectory: 'migrations',
      journal: { schema: 'public', name: 'schema_versions' },
    };
    const { databases } = await createClones(targetOf(urlOf()), settings, 1);
    const database = takeDatabase(databases[0]?.name as string);
    try {
      await use(database);
    } finally {
      await dropDatabase(database);
    }
  };
}

/** Adds active materials with these titles, in the first category, and returns their ids in that order. */
export async function addMaterials<const T extends readonly string[]>(
  sql: postgres.Sql,
  ...titles: T
): Promise<{ -readonly [K in keyof T]: string }> {
  const rows = await sql<{ id: string }[]>`
    INSERT INTO materials (title, category_id)
    SELECT title, (SELECT min(id) FROM categories) FROM unnest(${[...titles]}::text[]) WITH ORDINALITY t (title, n) ORDER BY n
    RETURNING id`;
  return rows.map((row) => row.id) as never;
}

/** What `use` returns, seen with the rights of `role`. */
export async function asRole<T>(
  sql: postgres.Sql,
  role: string,
  use: (sql: postgres.TransactionSql) => Promise<T>,
): Promise<T> {
  return sql.begin(async (transaction) => {
    await transaction.unsafe(`SET LOCAL ROLE ${role}`);
    return use(transaction);
  }) as Promise<T>;
}
