import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';

const table = (name: string) =>
  `-- migrate:up\nCREATE TABLE ${name} (id int);\n-- migrate:down\nDROP TABLE ${name};\n`;
const files = { '1_one.sql': table('one'), '2_two.sql': table('two'), '3_three.sql': table('three') };
const relations =
  "SELECT array_agg(relname ORDER BY relname) AS names FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";

describe('rollback', () => {
  it(
    'undoes the newest migration, or several, or down to a version, or all',
    withProject(files, async ({ migrate, rollback, versions, sql }) => {
      await migrate();

      expect((await rollback()).done.map(({ version }) => version)).toEqual(['3']);
      expect(await versions()).toEqual(['1', '2']);
      await migrate();
      expect((await rollback({ steps: 2 })).current).toBe('1');
      await migrate();
      expect((await rollback({ to: '1' })).done.map(({ version }) => version)).toEqual(['3', '2']);
      expect((await rollback({ all: true })).current).toBeUndefined();

      expect(await sql.unsafe(relations)).toEqual([{ names: ['schema_versions'] }]);
    }),
  );

  it(
    'refuses before touching anything when a down is missing',
    withProject(
      { ...files, '2_two.sql': 'CREATE TABLE two (id int);' },
      async ({ migrate, rollback, versions, sql }) => {
        await migrate();

        await expect(rollback({ steps: 3 })).rejects.toMatchObject({ code: 'migration-irreversible' });

        expect(await versions()).toEqual(['1', '2', '3']);
        expect(await sql`SELECT to_regclass('three') IS NULL AS gone`).toEqual([{ gone: false }]);
      },
    ),
  );

  it(
    'keeps a migration whose down fails',
    withProject(
      {
        ...files,
        '3_three.sql': '-- migrate:up\nSELECT 1;\n-- migrate:down\nDROP TABLE two;\nDROP TABLE nowhere;',
      },
      async ({ migrate, rollback, versions, sql }) => {
        await migrate();

        await expect(rollback()).rejects.toMatchObject({
          message: 'rollback of 3_three failed at line 5 of migrations/3_three.sql (42P01)',
          details: { outcome: '3 was not rolled back; 3 is the current version' },
        });

        expect(await versions()).toEqual(['1', '2', '3']);
        expect(await sql`SELECT to_regclass('two') IS NULL AS gone`).toEqual([{ gone: false }]);
      },
    ),
  );

  it(
    'refuses a version that is not applied, or not there',
    withProject(files, async ({ migrate, rollback }) => {
      await migrate({ to: '2' });

      await expect(rollback({ to: '3' })).rejects.toMatchObject({ code: 'version-unknown' });
      await expect(rollback({ to: '7' })).rejects.toMatchObject({ code: 'version-unknown' });
    }),
  );
});

describe('repeatable migrations', () => {
  const view = (column: string, requires = '') =>
    `-- migrate:up${requires}\nDROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT ${column} FROM one;\n-- migrate:down\nDROP VIEW v;\n`;

  it(
    'are applied after the others, and again when their text changes',
    withProject(
      { '1_one.sql': table('one'), 'repeatable/v.sql': view('id AS a') },
      async ({ migrate, write, sql, status }) => {
        expect((await migrate()).done.map(({ name }) => name)).toEqual(['1_one', 'repeatable v']);
        expect((await migrate()).done).toEqual([]);

        write({ 'repeatable/v.sql': view('id AS b') });
        expect((await status()).counts).toMatchObject({ applied: 1, pending: 1 });
        expect((await migrate()).done.map(({ name }) => name)).toEqual(['repeatable v']);

        expect(await sql`SELECT attname FROM pg_attribute WHERE attrelid = 'v'::regclass`).toEqual([
          { attname: 'b' },
        ]);
      },
    ),
  );

  it(
    'wait for the version they require, and go before it goes',
    withProject(
      { ...files, 'repeatable/v.sql': view('id', ' requires:2') },
      async ({ migrate, rollback, sql }) => {
        const exists = async () => (await sql`SELECT to_regclass('v') IS NOT NULL AS there`)[0]?.there;
        await migrate({ to: '1' });
        expect(await exists()).toBe(false);
        await migrate({ to: '2' });
        expect(await exists()).toBe(true);
        await migrate();

        await rollback({ to: '2' });
        expect(await exists()).toBe(true);
        expect((await rollback({ to: '1' })).done.map(({ name }) => name)).toEqual(['repeatable v', '2_two']);

        expect(await exists()).toBe(false);
        expect((await migrate()).done.map(({ name }) => name)).toEqual(['2_two', '3_three', 'repeatable v']);
      },
    ),
  );
});
