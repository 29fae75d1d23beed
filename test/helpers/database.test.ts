import { describe, expect, it } from 'vitest';
import { createDatabase, dropDatabase, withDatabase } from './database.ts';

describe('a database for a test', () => {
  it(
    'is empty, UTF-8, and takes Hangul for letters',
    withDatabase(async ({ sql, name }) => {
      const [facts] = await sql`
        SELECT current_database() AS name, current_setting('server_encoding') AS encoding, '교' ~ '^[[:alpha:]]$' AS letters,
               (SELECT count(*)::int FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS tables`;

      expect(facts).toEqual({ name, encoding: 'UTF8', letters: true, tables: 0 });
    }),
  );

  it(
    'lets a test act as a role without a password',
    withDatabase(async ({ sql, connectAs, createUser }) => {
      const user = await createUser();
      await sql`CREATE TABLE secret (id int)`;

      const asUser = await connectAs(user.name);

      expect(await asUser`SELECT session_user AS session, current_user AS current`).toEqual([
        { session: user.name, current: user.name },
      ]);
      await expect(asUser`SELECT * FROM secret`).rejects.toThrow('permission denied');
    }),
  );

  it('is gone afterwards, with its users, though a connection is open', async () => {
    const database = await createDatabase();
    const user = await database.createUser();
    await database.connect({ max: 1 })`SELECT 1`;

    await dropDatabase(database);

    await withDatabase(async ({ sql }) => {
      expect(await sql`SELECT FROM pg_database WHERE datname = ${database.name}`).toHaveLength(0);
      expect(await sql`SELECT FROM pg_roles WHERE rolname = ${user.name}`).toHaveLength(0);
    })();
  });
});
