import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { migrate, rollback } from '../../src/index.ts';
import { describeCatalogue } from '../helpers/catalogue.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';

const versions = readdirSync('migrations')
  .filter((name) => name.endsWith('.sql'))
  .map((name) => name.slice(0, name.indexOf('_')))
  .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));

/** The journal is the tool's, and stays when everything is rolled back. */
const catalogueOf = async ({ sql }: TestDatabase) =>
  (await describeCatalogue(sql)).filter((line) => !line.includes('schema_versions'));

test(
  'each migration, up, down and up again, leaves the same catalogue',
  withDatabase(async (database) => {
    const { url } = database;
    let before = await catalogueOf(database);

    for (const to of versions) {
      await migrate({ url, directory: 'migrations', to });
      const after = await catalogueOf(database);
      await rollback({ url, directory: 'migrations', steps: 1 });
      expect(await catalogueOf(database), `down of ${to}`).toEqual(before);
      await migrate({ url, directory: 'migrations', to });
      expect(await catalogueOf(database), `up again of ${to}`).toEqual(after);
      before = after;
    }
  }),
);

test(
  'the whole chain, up, down and up again, leaves the same catalogue',
  withDatabase(async (database) => {
    const { url } = database;
    const empty = await catalogueOf(database);
    await migrate({ url, directory: 'migrations' });
    const full = await catalogueOf(database);

    await rollback({ url, directory: 'migrations', to: '0' });
    expect(await catalogueOf(database)).toEqual(empty);
    await migrate({ url, directory: 'migrations' });

    expect(await catalogueOf(database)).toEqual(full);
  }),
);

test(
  'a repeatable runs over its own older self and changes nothing, rights included',
  withDatabase(async (database) => {
    await migrate({ url: database.url, directory: 'migrations' });
    const before = await catalogueOf(database);

    for (const name of readdirSync('migrations/repeatable').sort()) {
      const [, up = ''] = readFileSync(`migrations/repeatable/${name}`, 'utf8').split(/^-- migrate:.*$/m);
      await database.sql.begin((transaction) => transaction.unsafe(up));
    }

    expect(await catalogueOf(database)).toEqual(before);
  }),
);

test(
  'goes down with rows in it as well',
  withDatabase(async (database) => {
    const { url, sql } = database;
    await migrate({ url, directory: 'migrations' });
    await sql`INSERT INTO materials (title) SELECT '자료 ' || i FROM generate_series(1, 10) i`;
    await sql`INSERT INTO download_logs (material_id) SELECT id FROM materials`;

    await rollback({ url, directory: 'migrations', to: '0' });

    expect(
      await sql`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ 'schema_versions'`,
    ).toHaveLength(0);
  }),
);

test(
  'lives in any schema, whoever calls with whatever search_path',
  withDatabase(async ({ url, sql, connect }) => {
    await sql`CREATE SCHEMA "교육 자료"`;
    await migrate({ url, directory: 'migrations', schema: '교육 자료' });

    const stranger = connect({ connection: { search_path: 'pg_catalog' } });
    await stranger`INSERT INTO "교육 자료".materials (title) VALUES ('엑셀 실무')`;
    await stranger`INSERT INTO "교육 자료".download_logs (material_id) SELECT id FROM "교육 자료".materials`;
    await stranger`SELECT "교육 자료".refresh_popular_materials()`;

    expect(await stranger`SELECT title, download_count FROM "교육 자료".search_materials('엑셀')`).toEqual([
      { title: '엑셀 실무', download_count: '1' },
    ]);
    expect(await stranger`SELECT * FROM "교육 자료".check_db_health()`).toEqual([]);
    expect(
      await stranger`SELECT count(*)::int AS n FROM "교육 자료".audit_log WHERE table_name = 'materials'`,
    ).toEqual([{ n: 1 }]);
    expect(
      await sql`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ 'schema_versions'`,
    ).toHaveLength(0);
  }),
);
