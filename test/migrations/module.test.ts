import { describe, expect, it } from 'vitest';
import { openClient } from '../helpers/clients.ts';
import { until } from '../helpers/process.ts';
import { withProject } from '../helpers/project.ts';

const typed = `
import type { MigrationContext, MigrationSql } from 'eduschema';
export async function up(sql: MigrationSql, context: MigrationContext): Promise<void> {
  await sql\`CREATE TABLE t (id int, note text)\`;
  await sql\`INSERT INTO t \${sql([{ id: 1, note: context.version }])}\`;
}
export async function down(sql: MigrationSql) {
  await sql\`DROP TABLE t\`;
}
`;

const insertOne = 'export const up = (sql: any) => sql`INSERT INTO t VALUES (1)`;';

describe('migrations in TypeScript and JavaScript', () => {
  it(
    'run up and down in the transaction that records them',
    withProject({ '1.0_t.ts': typed }, async ({ migrate, rollback, sql, versions }) => {
      await migrate();
      expect(await sql`SELECT * FROM t`).toEqual([{ id: 1, note: '1.0' }]);
      expect(await versions()).toEqual(['1.0']);

      await rollback();

      expect(await sql`SELECT to_regclass('t') AS t`).toEqual([{ t: null }]);
      expect(await versions()).toEqual([]);
    }),
  );

  it.each([
    ['.mjs', 'export const up = (sql) => sql`CREATE TABLE t (id int)`;'],
    ['.cjs', 'module.exports = { up: (sql) => sql`CREATE TABLE t (id int)` };'],
    ['.js', 'export async function up(sql) { await sql`CREATE TABLE t (id int)`; }'],
    ['.js', 'exports.up = async (sql) => { await sql`CREATE TABLE t (id int)`; };'],
    ['.ts', 'export default { up: (sql: any) => sql`CREATE TABLE t (id int)` };'],
    ['.mts', 'export const up = (sql: any) => sql`CREATE TABLE t (id int)`;'],
    ['.cts', 'module.exports.up = (sql: any) => sql`CREATE TABLE t (id int)`;'],
  ])('load as %s: %s', (extension, text) =>
    withProject({ [`1_t${extension}`]: text }, async ({ migrate, sql }) => {
      await migrate();
      expect(await sql`SELECT to_regclass('t')::text AS t`).toEqual([{ t: 't' }]);
    })(),
  );

  it(
    "import with the paths of the project's tsconfig.json, and files beside them",
    withProject(
      {
        '1_t.ts': `import { table } from '@/names';\nimport { column } from './_column';\nexport const up = (sql: any) => sql\`CREATE TABLE \${sql(table)} (\${sql(column)} int)\`;`,
        '_column.ts': "export const column = '열';",
        '../lib/names.ts': "export const table = '표';",
        '../tsconfig.json': '{ "compilerOptions": { "baseUrl": ".", "paths": { "@/*": ["lib/*"] } } }',
      },
      async ({ migrate, sql }) => {
        await migrate();
        expect(await sql`SELECT "열" FROM "표"`).toEqual([]);
      },
    ),
  );

  it(
    'leave no trace when they fail, and name file and line',
    withProject(
      {
        '1_t.ts':
          'export async function up(sql: any) {\n  await sql`CREATE TABLE t (id int)`;\n  await sql`SELECT wrong`;\n}\n',
      },
      async ({ migrate, sql, versions }) => {
        await migrate({ to: '1' }).catch(() => {});
        const error = await migrate().catch((thrown) => thrown);

        expect(error).toMatchObject({
          code: 'migration-failed',
          details: { file: 'migrations/1_t.ts', line: 3, sqlstate: '42703', statement: 'SELECT wrong' },
        });
        expect(error.message).toBe('migration 1_t failed at line 3 of migrations/1_t.ts (42703)');
        expect(await sql`SELECT to_regclass('t') AS t`).toEqual([{ t: null }]);
        expect(await versions()).toEqual([]);
      },
    ),
  );

  it(
    'cannot end the transaction that records them',
    withProject(
      { '1_t.ts': "export const up = (sql: any) => sql.unsafe('COMMIT');" },
      async ({ migrate, versions }) => {
        await expect(migrate()).rejects.toMatchObject({
          message: 'migration 1_t failed at line 1 of migrations/1_t.ts',
          details: { reason: "COMMIT in code that runs in a transaction of eduschema's" },
        });
        expect(await versions()).toEqual([]);
      },
    ),
  );

  it(
    'run outside a transaction when they say so',
    withProject(
      {
        '1_t.ts':
          'export const transaction = false;\nexport async function up(sql: any) {\n  await sql`CREATE TABLE t (id int)`;\n  await sql`CREATE INDEX CONCURRENTLY t_id ON t (id)`;\n  await sql.begin((tx: any) => tx`INSERT INTO t VALUES (1)`);\n}',
      },
      async ({ migrate, sql, versions }) => {
        await migrate();
        expect(await sql`SELECT id FROM t`).toEqual([{ id: 1 }]);
        expect(await versions()).toEqual(['1']);
      },
    ),
  );

  it(
    'understand arrays, and run with others in a single transaction',
    withProject(
      {
        '1_a.sql': 'CREATE TABLE t (tags text[]);',
        '2_b.ts': `const tags = ['교육', 'a,b'];\nexport const up = (sql: any) => sql\`INSERT INTO t VALUES (\${tags})\`;`,
        '3_c.sql': "INSERT INTO t VALUES ('{c}');",
      },
      async ({ migrate, sql, versions }) => {
        await migrate({ singleTransaction: true });
        expect(await sql`SELECT tags FROM t`).toEqual([{ tags: ['교육', 'a,b'] }, { tags: ['c'] }]);
        expect(await versions()).toHaveLength(3);
      },
    ),
  );

  it(
    'are applied, however many in a run, the same query in them too',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int);',
        '2_a.ts': insertOne,
        '3_b.ts': insertOne,
        '4_c.ts': `export const transaction = false;\n${insertOne}`,
        '5_d.ts': insertOne.replace('VALUES', 'SELECT * FROM (VALUES').replace('(1)', '(1)) v'),
      },
      async ({ migrate, sql, versions }) => {
        await migrate();
        expect(await sql`SELECT count(*)::int AS n FROM t`).toEqual([{ n: 4 }]);
        expect(await versions()).toEqual(['1', '2', '3', '4', '5']);
      },
    ),
  );

  it(
    'notify within their transaction, in a savepoint too, and may not prepare it',
    withProject(
      {
        '1_a.ts':
          'export const up = async (sql: any) => { await sql.notify("news", "a"); await sql.savepoint("x", (inner: any) => inner.notify("news", "b")); await sql.savepoint((inner: any) => inner.notify("news", "c")); };',
        '2_b.ts':
          'export const up = async (sql: any) => { await sql.notify("news", "d"); await sql.prepare("x"); };',
      },
      async ({ migrate, connect, versions }) => {
        const heard: string[] = [];
        await connect().listen('news', (payload) => heard.push(payload));

        await expect(migrate()).rejects.toMatchObject({
          details: { reason: 'sql.prepare() is not there in a migration' },
        });

        await until('it is heard', () => heard.length >= 3);
        expect(heard).toEqual(['a', 'b', 'c']);
        expect(await versions()).toEqual(['1']);
      },
    ),
  );

  it(
    'run again from their beginning until they have their locks',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int);',
        '2_a.ts':
          'export const up = async (sql: any, { log }: any) => { log("called"); await sql`ALTER TABLE t ADD note text`; await sql`INSERT INTO t VALUES (1)`; };',
      },
      async (project) => {
        await project.migrate({ to: '1' });
        const holder = await openClient(project, 'shop');
        await holder.begin('SELECT FROM t');
        let calls = 0;
        await project.migrate(
          {},
          {
            onProgress(event) {
              if (event.type === 'log' && ++calls === 3) void holder.sql`COMMIT`.execute();
            },
          },
        );
        expect(calls).toBeGreaterThanOrEqual(3);
        expect(await project.sql`SELECT id FROM t`).toEqual([{ id: 1 }]);
      },
    ),
  );
});
