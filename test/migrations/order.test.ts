import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';

const table = (name: string) => `CREATE TABLE ${name} (id int);`;
const files = { '1.0.0_one.sql': table('one'), '1.2.0_three.sql': table('three') };

describe('what is applied against the files', () => {
  it(
    'a version older than the newest applied one is an error, unless allowed',
    withProject(files, async ({ migrate, write, versions, status }) => {
      await migrate();
      write({ '1.1.0_two.sql': table('two') });

      await expect(migrate()).rejects.toMatchObject({
        code: 'version-out-of-order',
        message: 'migrations/1.1.0_two.sql is older than 1.2.0, which is applied already',
      });
      expect((await status()).rows).toContainEqual(
        expect.objectContaining({ version: '1.1.0', state: 'pending', outOfOrder: true }),
      );
      await migrate({ outOfOrder: true });

      expect(await versions()).toEqual(['1.0.0', '1.2.0', '1.1.0']);
    }),
  );

  it(
    'an edited file is an error before anything runs',
    withProject(files, async ({ migrate, write, sql }) => {
      await migrate();
      write({ '1.0.0_one.sql': table('uno'), '1.3.0_four.sql': table('four') });

      await expect(migrate()).rejects.toMatchObject({ code: 'migration-edited' });
      expect(await sql`SELECT to_regclass('four') AS four`).toEqual([{ four: null }]);
    }),
  );

  it(
    'a byte order mark and Windows line ends are no edit',
    withProject({ '1_a.sql': 'CREATE TABLE a (\n  id int\n);\n' }, async ({ migrate, write }) => {
      await migrate();
      write({ '1_a.sql': '\ufeffCREATE TABLE a (\r\n  id int\r\n);\r\n' });

      expect((await migrate()).done).toEqual([]);
    }),
  );

  it(
    'a file that is gone is an error',
    withProject(files, async ({ migrate, settings, write, sql }) => {
      await migrate();
      const { rmSync } = await import('node:fs');
      rmSync(`${settings.directory}/1.0.0_one.sql`);
      write({ '1.3.0_four.sql': table('four') });

      await expect(migrate()).rejects.toMatchObject({
        code: 'migration-missing',
        message: '1.0.0 one is applied, but its file is gone',
      });
      expect(await sql`SELECT to_regclass('four') AS four`).toEqual([{ four: null }]);
    }),
  );

  it(
    'goes to a version, and a number of steps',
    withProject(
      { ...files, '1.3.0_four.sql': table('four'), '1.4.0_five.sql': table('five') },
      async ({ migrate, versions }) => {
        await migrate({ to: '1.2' });
        expect(await versions()).toEqual(['1.0.0', '1.2.0']);

        await migrate({ steps: 1 });
        expect(await versions()).toEqual(['1.0.0', '1.2.0', '1.3.0']);

        await expect(migrate({ to: '9.9' })).rejects.toMatchObject({ code: 'version-unknown' });
      },
    ),
  );

  it(
    '2,500 pending migrations go through in one run',
    withProject(
      Object.fromEntries(
        Array.from({ length: 2500 }, (_, i) => [
          `${i + 1}_t.sql`,
          `CREATE TABLE t${i + 1} (id int PRIMARY KEY);`,
        ]),
      ),
      async ({ migrate, sql }) => {
        const { done } = await migrate();

        expect(done).toHaveLength(2500);
        expect(await sql`SELECT count(*)::int AS versions FROM schema_versions`).toEqual([
          { versions: 2500 },
        ]);
      },
    ),
    120_000,
  );
});
