import { join } from 'node:path';
import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { baseline, migrate, newMigration, rollback, status, verify } from '../../src/index.ts';
import { withProject } from '../helpers/project.ts';

const files = {
  '1_one.sql': '-- migrate:up\nCREATE TABLE one (id int);\n-- migrate:down\nDROP TABLE one;\n',
  '2_two.sql': 'SELECT 1;',
};

describe('the API', () => {
  it(
    'has the verbs of the command line',
    withProject(files, async ({ url, settings: { directory } }) => {
      expect((await migrate({ url, directory, to: '1' })).done).toHaveLength(1);
      expect((await status({ url, directory })).counts).toEqual({
        applied: 1,
        pending: 1,
        edited: 0,
        missing: 0,
      });
      expect((await rollback({ url, directory })).current).toBeUndefined();
      expect((await baseline({ url, directory, version: '2' })).recorded).toHaveLength(2);
      expect((await verify({ url, directory })).map(({ result }) => result)).toEqual(['ok', 'ok']);
      expect(await newMigration({ directory, name: 'Three' })).toMatchObject({ version: '3' });
    }),
  );

  it(
    'makes plans and carries them out',
    withProject(files, async ({ url, folder, settings: { directory } }) => {
      const file = join(folder, 'plan.json');

      const { plan, done } = await migrate({ url, directory, to: '1', plan: file });
      expect([plan?.file, plan?.steps.length, done]).toEqual([file, 1, []]);
      expect(await migrate({ url, directory, fromPlan: file })).toMatchObject({
        current: '1',
        planSha256: plan?.sha256,
      });
    }),
  );

  it(
    "takes the caller's own connection, whatever its options, and leaves it open",
    withProject(files, async ({ url, settings: { directory } }) => {
      for (const options of [
        {},
        { max: 1 },
        { transform: postgres.camel, prepare: false },
        { connection: { search_path: 'public' } },
      ]) {
        const sql = postgres(url, options);
        await sql`SELECT 1`;

        await migrate({ sql, directory });
        expect((await status({ sql, directory })).counts.applied).toBe(2);

        expect(await sql`SELECT 1 AS one`).toEqual([{ one: 1 }]);
        await sql.end();
      }
    }),
  );

  it(
    'refuses a transaction and a missing database in words',
    withProject(files, async ({ url, settings: { directory } }) => {
      const sql = postgres(url);
      await sql.begin((transaction) =>
        expect(migrate({ sql: transaction as never, directory })).rejects.toMatchObject({
          code: 'target-invalid',
        }),
      );
      await sql.end();
      await expect(migrate({ directory } as never)).rejects.toMatchObject({ code: 'target-invalid' });
    }),
  );

  it(
    'tells of progress',
    withProject(files, async ({ url, settings: { directory } }) => {
      const events: string[] = [];
      await migrate({
        url,
        directory: join(directory),
        onProgress: (event) => events.push(`${event.type} ${'name' in event ? event.name : ''}`),
      });
      expect(events).toEqual(['started 1_one', 'done 1_one', 'started 2_two', 'done 2_two']);
    }),
  );
});
