import { expect, it } from 'vitest';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';
import { ensureIn, month, nameOf, placesOf } from './logs.ts';

/** Keys that exclude overlaps, table by table. Partitioned tables have them from 17 on, temporal ones from 18 on. */
const keysOf = ({ sql }: TestDatabase) =>
  sql`SELECT indrelid::regclass::text AS table, count(*)::int FROM pg_index WHERE indisexclusion GROUP BY 1 ORDER BY 1`;

const versionOf = async ({ sql }: TestDatabase) =>
  Number((await sql`SHOW server_version_num`)[0]?.server_version_num);

it(
  'partitions that are made, and that are brought back, have each key that excludes overlaps once',
  withDatabase(async (test) => {
    if ((await versionOf(test)) < 170000) return;
    await test.sql.unsafe(`
      CREATE TABLE logs (id int, at date, EXCLUDE USING btree (id WITH =, at WITH =)) PARTITION BY RANGE (at);
      CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
      CREATE TABLE ${nameOf(0)} PARTITION OF logs FOR VALUES FROM ('${month(0)}') TO ('${month(1)}');
      CREATE TABLE logs_default PARTITION OF logs DEFAULT;
      INSERT INTO logs VALUES (1, '2020-01-05'), (2, '${month(1)}');
      COMMENT ON TABLE logs IS '{"eduschema":{"partitions":{"keep":"2y","ahead":"2mo"}}}'`);
    await withFolder({}, async (folder) => {
      const run = async (line: string) => {
        const { exitCode, stderr } = await eduschema(`partitions ${line}`, {
          env: { DATABASE_URL: test.url },
        });
        expect(exitCode, stderr).toBe(0);
      };
      const once = async () => {
        for (const { table, count } of await keysOf(test)) expect([table, count]).toEqual([table, 1]);
      };

      await run('ensure');
      await once();
      await run(`retain --archive ${folder} --yes`);
      await run('restore logs_old');
      await once();
      await run(`retain --archive ${folder} --yes --restored --grace 0d`);
      await run(`restore ${folder}/${test.name}/public.logs_old`);
      await once();
    });
    expect(await placesOf(test)).toEqual({ logs_old: 1, [nameOf(1)]: 1 });
    await expect(test.sql`INSERT INTO logs VALUES (1, '2020-01-05')`).rejects.toThrow('exclusion constraint');
  }),
  60_000,
);

it(
  'partitions of a table whose primary key is temporal are made',
  withDatabase(async (test) => {
    if ((await versionOf(test)) < 180000) return;
    await test.sql.unsafe(`CREATE EXTENSION btree_gist;
      CREATE TABLE stays (id int, at date, during daterange, PRIMARY KEY (id, at, during WITHOUT OVERLAPS)) PARTITION BY RANGE (at)`);

    const { made } = await ensureIn(test, { sources: { flags: { ahead: '1mo' } } });

    expect(made.map(({ partition }) => partition.name)).toEqual([0, 1].map((n) => nameOf(n, 'stays')));
    expect(await keysOf(test)).toEqual(
      ['stays', nameOf(0, 'stays'), nameOf(1, 'stays')].map((table) => ({ table, count: 1 })),
    );
  }),
);
