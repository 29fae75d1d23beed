import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';

const table = (name: string) =>
  `-- migrate:up\nCREATE TABLE ${name} (id int);\n-- migrate:down\nDROP TABLE ${name};\n`;
const two = { '1.0.0_one.sql': table('one'), '1.1.0_two.sql': table('two') };

describe('migrate', () => {
  it(
    'applies what is pending in the order of versions, number by number',
    withProject(
      {
        '1.10.0_c.sql': 'ALTER TABLE a ADD c int;',
        '1.2.0_a.sql': 'CREATE TABLE a (id int);',
        '1.9.0_b.sql': 'ALTER TABLE a ADD b int;',
      },
      async ({ migrate, versions }) => {
        const { done, previous, current } = await migrate();

        expect(done.map(({ version }) => version)).toEqual(['1.2.0', '1.9.0', '1.10.0']);
        expect(await versions()).toEqual(['1.2.0', '1.9.0', '1.10.0']);
        expect([previous, current]).toEqual([undefined, '1.10.0']);
      },
    ),
  );

  it(
    'does nothing the second time',
    withProject(two, async ({ migrate }) => {
      await migrate();

      expect((await migrate()).done).toEqual([]);
    }),
  );

  it(
    'leaves no trace of one that fails, and keeps the ones before it',
    withProject(
      {
        ...two,
        '1.2.0_three.sql': 'CREATE TABLE three (id int);\n\nINSERT INTO three VALUES (1);\nSELECT wrong;\n',
      },
      async ({ migrate, versions, sql }) => {
        await expect(migrate()).rejects.toMatchObject({
          code: 'migration-failed',
          message: 'migration 1.2.0_three failed at line 4 of migrations/1.2.0_three.sql (42703)',
          details: { line: 4, column: 8, statement: 'SELECT wrong', sqlstate: '42703' },
        });

        expect(await versions()).toEqual(['1.0.0', '1.1.0']);
        expect(await sql`SELECT to_regclass('three') AS three`).toEqual([{ three: null }]);
      },
    ),
  );

  it(
    'names the statement of an error that has no position',
    withProject(
      {
        '1_rows.sql':
          'CREATE TABLE t (id int PRIMARY KEY);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\nINSERT INTO t\n  VALUES (1);\nINSERT INTO t VALUES (3);',
      },
      async ({ migrate }) => {
        const error = await migrate().catch((thrown) => thrown);

        expect(error.message).toBe('migration 1_rows failed at line 4 of migrations/1_rows.sql (23505)');
        expect(error.excerpt).toBe(
          [
            '  duplicate key value violates unique constraint "t_pkey"',
            '  Key (id)=(1) already exists.',
            '',
            '  2 | INSERT INTO t VALUES (1);',
            '  3 | INSERT INTO t VALUES (2);',
            '  4 | INSERT INTO t',
            '    | ^',
            '',
            'nothing of 1 was applied; no version is applied',
          ].join('\n'),
        );
      },
    ),
  );

  it(
    'with singleTransaction applies all or none',
    withProject({ ...two, '1.2.0_three.sql': 'SELECT wrong;' }, async ({ migrate, write, sql, versions }) => {
      await expect(migrate({ singleTransaction: true })).rejects.toMatchObject({ code: 'migration-failed' });
      expect(await sql`SELECT to_regclass('one') AS one`).toEqual([{ one: null }]);

      write({ '1.2.0_three.sql': table('three') });
      await migrate({ singleTransaction: true });

      expect(await versions()).toEqual(['1.0.0', '1.1.0', '1.2.0']);
    }),
  );

  it(
    'loads COPY data',
    withProject(
      {
        '1_copy.sql':
          "CREATE TABLE t (id int, name text);\nCOPY t (id, name) FROM stdin;\n1\t교육\n2\t-- migrate:down\n\\.\nINSERT INTO t VALUES (3, 'c');\n",
      },
      async ({ migrate, sql }) => {
        await migrate();

        expect(await sql`SELECT * FROM t ORDER BY id`).toEqual([
          { id: 1, name: '교육' },
          { id: 2, name: '-- migrate:down' },
          { id: 3, name: 'c' },
        ]);
      },
    ),
  );

  it(
    'names the line of COPY data that is wrong',
    withProject(
      { '1_copy.sql': 'CREATE TABLE t (id int);\nCOPY t FROM stdin;\n1\n2\nthree\n\\.\n' },
      async ({ migrate, sql }) => {
        await expect(migrate()).rejects.toMatchObject({
          message: 'migration 1_copy failed at line 5 of migrations/1_copy.sql (22P02)',
        });

        expect(await sql`SELECT to_regclass('t') AS t`).toEqual([{ t: null }]);
      },
    ),
  );

  it(
    'starts each file from clean session settings',
    withProject(
      {
        '1_a.sql':
          "CREATE SCHEMA other; CREATE ROLE CURRENT_USER_IS_FINE_x NOLOGIN; SET search_path = other; SET statement_timeout = '1s'; SET ROLE current_user_is_fine_x;",
        '2_b.sql':
          "DROP ROLE current_user_is_fine_x; CREATE TABLE t AS SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout;",
      },
      async ({ migrate, sql }) => {
        await migrate();

        expect(await sql`SELECT * FROM public.t`).toEqual([{ path: '"$user", public', timeout: '0' }]);
      },
    ),
  );

  it(
    'runs CREATE INDEX CONCURRENTLY beside other statements in a file with transaction:false',
    withProject(
      {
        '1_t.sql': table('t'),
        '2_index.sql':
          '-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY t_id ON t (id);\nINSERT INTO t VALUES (1);\n',
      },
      async ({ migrate, sql, versions }) => {
        await migrate();

        expect(await sql`SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass`).toEqual([
          { indisvalid: true },
        ]);
        expect(await versions()).toEqual(['1', '2']);
      },
    ),
  );

  it(
    'runs ten times at once, each migration exactly once',
    withProject(
      Object.fromEntries(
        Array.from({ length: 20 }, (_, i) => [
          `${i + 1}_t.sql`,
          `CREATE TABLE IF NOT EXISTS log (n int); INSERT INTO log VALUES (${i + 1});`,
        ]),
      ),
      async ({ migrate, sql, versions }) => {
        const results = await Promise.all(Array.from({ length: 10 }, () => migrate()));

        expect(results.reduce((sum, { done }) => sum + done.length, 0)).toBe(20);
        expect(await versions()).toHaveLength(20);
        expect(await sql`SELECT count(*)::int AS rows, count(DISTINCT n)::int AS distinct FROM log`).toEqual([
          { rows: 20, distinct: 20 },
        ]);
      },
    ),
  );
});
