import { readdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';

describe('what a file may try', () => {
  it.each([
    [
      'PREPARE TRANSACTION behind a comment',
      "CREATE TABLE a ();\nPREPARE /* x */ TRANSACTION 'x';",
      /PREPARE at line 2/,
    ],
    ['COMMIT behind a comment', 'CREATE TABLE a ();\n-- note\nCOMMIT;\nSELECT 1/0;', /COMMIT at line 3/],
    ['COMMIT AND CHAIN', 'CREATE TABLE a ();\nCOMMIT AND CHAIN;', /COMMIT at line 2/],
    [
      'a misspelt marker',
      '-- migrate:up\nSELECT 1;\n-- migrate: down\nSELECT 2;',
      /"-- migrate: down" is no marker at line 3/,
    ],
    ['COPY to stdout', 'COPY (SELECT 1) TO STDOUT;', /COPY TO stdout at line 1/],
    ['text behind COPY', 'COPY t FROM stdin; SELECT 1;\n1\n\\.\n', /there is text behind COPY/],
  ])('%s is refused before anything runs', (_, text, message) =>
    withProject({ '1_first.sql': 'SELECT 1;', '2_bad.sql': text }, async ({ migrate, sql }) => {
      await expect(migrate()).rejects.toThrow(message);
      expect(await sql`SELECT to_regclass('schema_versions') AS none`).toEqual([{ none: null }]);
    })(),
  );

  it(
    'a savepoint, and a rollback to it, are no end of the transaction',
    withProject(
      {
        '1_s.sql':
          'CREATE TABLE t (id int);\nSAVEPOINT s;\nDROP TABLE t;\nROLLBACK /* only */ TO s;\nROLLBACK WORK TO SAVEPOINT s;',
      },
      async ({ migrate, sql }) => {
        await migrate();
        expect(await sql`SELECT to_regclass('t')::text AS t`).toEqual([{ t: 't' }]);
      },
    ),
  );

  it(
    'a carriage return ends a comment',
    withProject({ '1_cr.sql': '-- first\rCREATE TABLE t ();\r' }, async ({ migrate, sql }) => {
      await migrate();
      expect(await sql`SELECT to_regclass('t')::text AS t`).toEqual([{ t: 't' }]);
    }),
  );

  it(
    'an isolation level can be set',
    withProject(
      {
        '1_i.sql':
          "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE t AS SELECT current_setting('transaction_isolation') AS level;",
      },
      async ({ migrate, sql }) => {
        await migrate();
        expect(await sql`SELECT level FROM t`).toEqual([{ level: 'serializable' }]);
      },
    ),
  );

  it(
    'another client encoding does not reach the journal',
    withProject({ '1_교육.sql': 'SET client_encoding = latin1;' }, async ({ migrate, sql }) => {
      await migrate();
      expect(await sql`SELECT description FROM schema_versions`).toEqual([{ description: '교육' }]);
    }),
  );

  it(
    'emoji in COPY data arrive whole, wherever a message ends',
    withProject(
      {
        '1_copy.sql': `CREATE TABLE t (note text);\nCOPY t FROM stdin;\n${Array.from({ length: 20_000 }, (_, i) => `${'a'.repeat(i % 3)}${'😀'.repeat(10)}`).join('\n')}\n\\.\n`,
      },
      async ({ migrate, sql }) => {
        await migrate();
        expect(
          await sql`SELECT count(*)::int AS rows, count(*) FILTER (WHERE note ~ '^a*😀{10}$')::int AS whole FROM t`,
        ).toEqual([{ rows: 20_000, whole: 20_000 }]);
      },
    ),
  );

  it(
    'a deferred constraint that fails at the end is an error of the migration, in SQL and in TypeScript',
    withProject(
      {
        '1_a.sql':
          'CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED);',
        '2_b.sql': 'INSERT INTO c VALUES (1);',
      },
      async ({ migrate, write, versions }) => {
        await expect(migrate()).rejects.toMatchObject({
          code: 'migration-failed',
          message: 'migration 2_b failed in migrations/2_b.sql (23503)',
        });
        write({
          '2_b.sql': 'SELECT 1;',
          '3_c.ts': 'export const up = (sql: any) => sql`INSERT INTO c VALUES (1)`;',
        });
        await expect(migrate()).rejects.toMatchObject({
          code: 'migration-failed',
          message: 'migration 3_c failed in migrations/3_c.ts (23503)',
        });
        expect(await versions()).toEqual(['1', '2']);
      },
    ),
  );

  it(
    'a query that failed and was caught is no success',
    withProject(
      { '1_t.ts': 'export async function up(sql: any) { try { await sql`SELECT wrong`; } catch {} }' },
      async ({ migrate, versions }) => {
        await expect(migrate()).rejects.toMatchObject({ code: 'migration-failed' });
        expect(await versions()).toEqual([]);
      },
    ),
  );
});

describe('what can become of a project', () => {
  const table = (name: string) =>
    `-- migrate:up\nCREATE TABLE ${name} (id int);\n-- migrate:down\nDROP TABLE ${name} CASCADE;\n`;

  it(
    'a file that spells its version in another way is the same migration, and is rolled back as such',
    withProject({ '1.0_a.sql': table('a') }, async ({ migrate, rollback, settings, versions }) => {
      await migrate();
      renameSync(join(settings.directory, '1.0_a.sql'), join(settings.directory, '1.0.0_a.sql'));

      expect((await migrate()).done).toEqual([]);
      await rollback();

      expect(await versions()).toEqual([]);
      expect(readdirSync(settings.directory)).toEqual(['1.0.0_a.sql']);
    }),
  );

  it(
    'version 0 is a version, which --all undoes as well',
    withProject(
      { '0_init.sql': table('a'), '1_x.sql': table('b') },
      async ({ migrate, rollback, versions }) => {
        await migrate();
        expect((await rollback({ to: '0' })).current).toBe('0');
        await migrate();
        await rollback({ all: true });
        expect(await versions()).toEqual([]);
      },
    ),
  );

  it(
    'two selections at once are refused',
    withProject({ '1_a.sql': table('a') }, async ({ migrate, rollback }) => {
      await expect(rollback({ all: true, to: '1' })).rejects.toMatchObject({ code: 'usage' });
      await expect(migrate({ steps: 1, to: '1' })).rejects.toMatchObject({ code: 'usage' });
    }),
  );

  it(
    'a repeatable migration that requires nothing is applied again after a rollback',
    withProject(
      { '1_a.sql': table('a'), 'repeatable/v.sql': 'CREATE OR REPLACE VIEW v AS SELECT id FROM a;' },
      async ({ migrate, rollback, sql, status }) => {
        await migrate();
        await rollback();
        await migrate();

        expect(await sql`SELECT to_regclass('v')::text AS v`).toEqual([{ v: 'v' }]);
        expect((await status()).counts).toMatchObject({ applied: 2, pending: 0 });
      },
    ),
  );

  it(
    'a repeatable migration whose file is gone is forgotten',
    withProject(
      { '1_a.sql': table('a'), 'repeatable/v.sql': 'CREATE OR REPLACE VIEW v AS SELECT 1 AS one;' },
      async ({ migrate, settings, status }) => {
        await migrate();
        const { rmSync } = await import('node:fs');
        rmSync(join(settings.directory, 'repeatable/v.sql'));
        expect((await status()).counts.missing).toBe(1);

        await migrate();

        expect((await status()).counts.missing).toBe(0);
      },
    ),
  );

  it(
    'links are followed, and pipes are not waited for',
    withProject(
      {
        '1_a.sql': table('a'),
        '../elsewhere/2_b.sql': table('b'),
        '../elsewhere/v.sql': 'CREATE OR REPLACE VIEW v AS SELECT 1 AS one;',
      },
      async ({ migrate, settings, folder, versions, sql }) => {
        symlinkSync(join(folder, 'elsewhere/2_b.sql'), join(settings.directory, '2_b.sql'));
        symlinkSync(join(folder, 'elsewhere'), join(settings.directory, 'repeatable'));
        const { renameSync: rename } = await import('node:fs');
        rename(join(folder, 'elsewhere/2_b.sql'), join(folder, '2_b.sql'));
        symlinkSync(join(folder, '2_b.sql'), join(folder, 'elsewhere/_2_b.sql'));
        await expect(migrate()).rejects.toMatchObject({
          message: 'migrations/2_b.sql is no file, nor a link to one',
        });

        rename(join(folder, '2_b.sql'), join(folder, 'elsewhere/2_b.sql'));
        const { rmSync } = await import('node:fs');
        rmSync(join(settings.directory, 'repeatable'));
        await migrate();

        expect(await versions()).toEqual(['1', '2']);
        expect(await sql`SELECT to_regclass('v') AS v`).toEqual([{ v: null }]);
      },
    ),
  );

  it(
    'a schema that does not exist is made, not passed over',
    withProject({ '1_a.sql': 'CREATE TABLE a (id int);' }, async ({ migrate, sql }) => {
      await migrate({}, { schema: 'tenant' });
      expect(await sql`SELECT schemaname FROM pg_tables WHERE tablename = 'a'`).toEqual([
        { schemaname: 'tenant' },
      ]);
    }),
  );

  it.each([
    ["CREATE VIEW schema_versions AS SELECT '1'::text AS version", 'it is no table'],
    ['CREATE TABLE schema_versions (version text, checksum bigint)', 'its column "checksum" is no text'],
    [
      "CREATE TABLE schema_versions (version text); INSERT INTO schema_versions VALUES ('initial')",
      'has a row whose version is "initial"',
    ],
    [
      "CREATE TABLE schema_versions (version text); INSERT INTO schema_versions VALUES ('1.0'), ('1.0.0')",
      'has version 1.0.0 twice',
    ],
    [
      'CREATE TABLE schema_versions (version text); INSERT INTO schema_versions VALUES (NULL)',
      'has a row whose version is "null"',
    ],
  ])('a journal that is none is refused: %s', (ddl, why) =>
    withProject({ '2_a.sql': 'SELECT 1;' }, async ({ migrate, status, sql }) => {
      await sql.unsafe(ddl);
      await expect(migrate()).rejects.toMatchObject({
        code: 'journal-invalid',
        message: expect.stringContaining(why),
      });
      await expect(status()).rejects.toMatchObject({ code: 'journal-invalid' });
    })(),
  );
});
