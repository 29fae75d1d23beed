import { describe, expect, it } from 'vitest';
import { type Project, withProject } from '../helpers/project.ts';
import { runsOf } from '../helpers/runners.ts';

const around = {
  '1_runs.sql': 'CREATE TABLE runs (n int);',
  '3_last.sql': 'INSERT INTO runs VALUES (3);',
};

const insert = 'INSERT INTO runs VALUES (2);';
const sql = (text: string) => ({ '2_x.sql': `${insert}\n${text}` });
const sqlOutside = (text: string) => ({
  '2_x.sql': `-- migrate:up transaction:false\n${insert}\n${text}`,
});
const code = (body: string) => ({
  '2_x.ts': `export const up = async (sql: any) => {\n  await sql\`INSERT INTO runs VALUES (2)\`;\n  ${body}\n};`,
});
const codeOutside = (body: string) => ({
  '2_x.ts': `export const transaction = false;\n${code(body)['2_x.ts']}`,
});

interface Case {
  readonly what: string;
  readonly files: Record<string, string>;
  /** What the message and what is shown with it must hold. */
  readonly says: RegExp;
  /** What the migration has left in `runs`. */
  readonly left?: readonly number[];
  readonly outcome?: string;
}

const rolledBack = 'nothing of 2 was applied; 1 is the current version';
const stays = 'what it committed stays';

/** Nothing of 2 is recorded, and a rerun with a decent 2 goes on. */
const checkFailure = ({ files, says, left = [], outcome }: Case) =>
  withProject({ ...around, ...files }, async (project: Project) => {
    const error = await project.migrate().catch((thrown) => thrown);

    expect(`${error.message}\n${error.excerpt}`).toMatch(says);
    expect(error.code).toMatch(/^(migration-failed|migration-invalid|connection-failed)$/);
    if (outcome !== undefined) expect(error.details?.outcome).toBe(outcome);
    expect(error.hint).toMatch(/\w{3}/);
    const recorded = await project.versions().catch(() => []);
    expect([recorded, await runsOf(project).catch(() => [])]).toEqual([
      error.code === 'migration-invalid' ? [] : ['1'],
      left,
    ]);
    expect(await project.sql`SELECT FROM pg_prepared_xacts WHERE database = current_database()`).toEqual([]);

    const { rmSync } = await import('node:fs');
    for (const name of Object.keys(files)) rmSync(`${project.settings.directory}/${name}`);
    if (files['2_x.sql']?.includes('transaction:false')) {
      // A statement that was carried out is not edited.
      project.write({ '2_x.sql': files['2_x.sql'].split('\n').slice(0, 2).join('\n') });
    } else project.write({ '2_x.sql': insert });
    await project.migrate();
    expect(await project.versions()).toEqual(['1', '2', '3']);
    expect((await runsOf(project)).filter((n) => n === 3)).toEqual([3]);
  })();

describe('a migration that ends or begins transactions', () => {
  it.each<Case>([
    {
      what: 'COMMIT within a DO block',
      files: sql('DO $$ BEGIN COMMIT; END $$;'),
      says: /invalid transaction termination/,
      outcome: rolledBack,
    },
    ...['COMMIT', 'ROLLBACK', 'ROLLBACK AND CHAIN', 'COMMIT; BEGIN', 'BEGIN', "PREPARE TRANSACTION 'x'"].map(
      (text) => ({
        what: `${text} in TypeScript`,
        files: code(`await sql.unsafe(\`${text}\`);`),
        says: /failed at line 3 of migrations\/2_x\.ts\n {2}(COMMIT|ROLLBACK|BEGIN|PREPARE) in code/,
        outcome: rolledBack,
      }),
    ),
    {
      what: 'COMMIT behind another statement',
      files: code('await sql.unsafe(`SELECT 1; COMMIT; SELECT 2`);'),
      says: /COMMIT in code/,
      outcome: rolledBack,
    },
    {
      what: 'COMMIT in a template',
      files: code('await sql`/* so */ COMMIT`;'),
      says: /COMMIT in code/,
      outcome: rolledBack,
    },
    {
      what: 'END, which may be that of CASE',
      files: code('await sql.unsafe(`END`);'),
      says: /ended the transaction that it runs in/,
      left: [2],
      outcome: 'what it committed itself stays; it is not recorded',
    },
    {
      what: 'sql.prepare()',
      files: code("sql.prepare('x');"),
      says: /sql\.prepare\(\) is not there/,
      outcome: rolledBack,
    },
    {
      what: 'sql.begin() inside',
      files: code('await sql.begin(async () => {});'),
      says: /sql\.begin\(\) is not there/,
      outcome: rolledBack,
    },
    {
      what: 'BEGIN that is left open outside',
      files: sqlOutside('BEGIN;\nINSERT INTO runs VALUES (22);'),
      says: /left a transaction open; it was rolled back/,
      left: [2],
    },
    {
      what: 'BEGIN that is left open in TypeScript outside',
      files: codeOutside('await sql`BEGIN`; await sql`INSERT INTO runs VALUES (22)`;'),
      says: /left a transaction open; it was rolled back/,
      left: [2],
    },
  ])('$what', checkFailure);

  it(
    'may use savepoints, and its own transactions outside',
    withProject(
      {
        ...around,
        '2_x.ts': `export const up = async (sql: any) => {
          await sql.savepoint(async (s: any) => { await s\`INSERT INTO runs VALUES (2)\`; });
          await sql.savepoint('named', async (s: any) => { await s\`INSERT INTO runs VALUES (22)\`; throw new Error('back'); }).catch(() => {});
          const rows = await sql\`SELECT \${sql('n')} FROM \${sql('runs')} WHERE n = \${2} \${sql\`AND true\`}\`;
          await sql\`INSERT INTO runs \${sql({ n: rows.length + 40 })}\`;
        };`,
        '4_out.ts': `export const transaction = false;
        export const up = async (sql: any) => {
          await sql.begin(async (s: any) => { await s\`INSERT INTO runs VALUES (4)\`; });
          await sql.begin('read only', async (s: any) => { await s\`INSERT INTO runs VALUES (44)\`; }).catch(() => {});
          const one = await sql.reserve();
          await one\`INSERT INTO runs VALUES (45)\`;
          one.release();
          for await (const rows of sql\`SELECT generate_series(1, 3) AS n\`.cursor(1)) await 0;
        };`,
      },
      async (project) => {
        await project.migrate();
        expect(await runsOf(project)).toEqual([2, 3, 4, 41, 45]);
      },
    ),
  );
});

describe('a migration that takes the journal away', () => {
  const hidden = (text: string) =>
    `DO $$ BEGIN EXECUTE replace('${text}', 'JOURNAL', 'schema_' || 'versions'); END $$;`;
  it.each<Case>([
    ...[
      'DROP TABLE schema_versions;',
      'ALTER TABLE schema_versions RENAME TO other;',
      'DROP SCHEMA public CASCADE; CREATE SCHEMA public;',
    ].map((text) => ({
      what: text,
      files: sql(text),
      says: /it took the journal of eduschema away/,
      outcome: rolledBack,
    })),
    ...['TRUNCATE schema_versions;', 'DELETE FROM schema_versions;'].map((text) => ({
      what: text,
      files: sql(text),
      says: /it emptied the journal/,
      outcome: rolledBack,
    })),
    {
      what: 'DROP in TypeScript',
      files: code('await sql`DROP TABLE schema_versions`;'),
      says: /it took the journal of eduschema away/,
      outcome: rolledBack,
    },
    {
      what: 'TRUNCATE in TypeScript',
      files: code('await sql`TRUNCATE schema_versions`;'),
      says: /it emptied the journal/,
      outcome: rolledBack,
    },
    {
      what: 'its own row',
      files: sql("INSERT INTO schema_versions (version) VALUES ('2');"),
      says: /duplicate key value .*\n.*Key \(version\)=\(2\)/,
      outcome: rolledBack,
    },
    ...[
      'DROP TABLE schema_versions;',
      'DELETE FROM "schema_versions";',
      'TRUNCATE public.schema_versions_statements;',
      'LOCK TABLE schema_versions_statements;',
      'DO $$ BEGIN DROP TABLE schema_versions_statements; COMMIT; END $$;',
    ].map((text) => ({
      what: `outside: ${text}`,
      files: sqlOutside(text),
      says: /a statement at line 3 of migrations\/2_x\.sql changes the journal of eduschema/,
    })),
    ...[
      'DROP TABLE JOURNAL',
      'TRUNCATE JOURNAL_statements',
      'DELETE FROM JOURNAL_statements',
      'LOCK TABLE JOURNAL_statements',
      'ALTER TABLE JOURNAL RENAME TO other',
    ].map((text) => ({
      what: `outside, where its name does not show: ${text}`,
      files: sqlOutside(hidden(text)),
      says: /failed at line 3 of migrations\/2_x\.sql .*\n {2}it changes the journal of eduschema/,
      left: [2],
    })),
    {
      what: 'outside, in TypeScript',
      files: codeOutside('await sql`DROP TABLE schema_versions`;'),
      says: /this query changes the journal/,
      left: [2],
      outcome: stays,
    },
  ])('$what', checkFailure);

  it(
    'may say what does not harm it: other names, its comment, older rows',
    withProject(
      {
        ...around,
        ...sql(
          "CREATE TABLE my_schema_versions (); DROP TABLE my_schema_versions; COMMENT ON TABLE schema_versions IS 'ours'; INSERT INTO schema_versions (version) VALUES ('0.9'); DELETE FROM schema_versions WHERE version = '0.9';",
        ),
        '4_out.sql':
          '-- migrate:up transaction:false\nCREATE TABLE schema_versions_old ();\nDROP TABLE schema_versions_old;\nANALYZE schema_versions;\nSELECT count(*) FROM schema_versions_statements;',
      },
      async ({ migrate, versions }) => {
        await migrate();
        expect(await versions()).toEqual(['1', '2', '3', '4']);
      },
    ),
  );

  it(
    'in its first migration of all, and on the way down',
    withProject(
      { '1_a.sql': 'DROP TABLE schema_versions;' },
      async ({ migrate, write, rollback, versions }) => {
        await expect(migrate()).rejects.toMatchObject({
          code: 'migration-failed',
          excerpt: expect.stringContaining('took the journal'),
        });
        write({ '1_a.sql': '-- migrate:up\nSELECT 1;\n-- migrate:down\nDROP TABLE schema_versions;' });
        await migrate();
        await expect(rollback()).rejects.toMatchObject({
          excerpt: expect.stringContaining('took the journal'),
        });
        expect(await versions()).toEqual(['1']);
      },
    ),
  );
});

describe('a migration that ends its own session', () => {
  const end = 'pg_terminate_backend(pg_backend_pid())';
  const why = /terminating connection due to administrator command/;
  it.each<Case>([
    { what: 'in SQL', files: sql(`SELECT ${end};`), says: why, outcome: rolledBack },
    {
      what: 'outside a transaction',
      files: sqlOutside(`SELECT ${end};`),
      says: why,
      left: [2],
      outcome:
        'statement 1 of 2 was carried out and stays; 2_x is not recorded; the next run finds out about what was under way',
    },
    { what: 'in TypeScript', files: code(`await sql\`SELECT ${end}\`;`), says: why, outcome: rolledBack },
    {
      what: 'in TypeScript outside',
      files: codeOutside(`await sql\`SELECT ${end}\`;`),
      says: why,
      left: [2],
      outcome: stays,
    },
    {
      what: 'by sql.end()',
      files: codeOutside('await sql.end();'),
      says: /at line 4 of migrations\/2_x\.ts\n {2}sql\.end\(\) is not there/,
      left: [2],
      outcome: stays,
    },
    {
      what: 'and catches it',
      files: code(`await sql\`SELECT ${end}\`.catch(() => {});`),
      says: /closed|lost|terminating/,
    },
  ])('$what', checkFailure);
});

describe('code that leaves something behind', () => {
  const later =
    'new Promise((done) => setTimeout(done, 20)).then(() => sql`INSERT INTO runs VALUES (22)`).catch(() => {});';
  it.each<Case>([
    {
      what: 'a query that is never sent',
      files: code('sql`INSERT INTO runs VALUES (22)`;'),
      says: /it made a query that was never sent: INSERT INTO runs VALUES \(22\)/,
      outcome: rolledBack,
    },
    {
      what: 'queries in an array',
      files: {
        '2_x.ts':
          'export const up = (sql: any) => [sql`INSERT INTO runs VALUES (2)`, sql.unsafe(`SELECT 1`)];',
      },
      says: /never sent: INSERT/,
      outcome: rolledBack,
    },
    {
      what: 'a query that is under way',
      files: code('sql`INSERT INTO runs VALUES (22)`.then(() => {});'),
      says: /it ended while a query was under way: INSERT INTO runs VALUES \(22\)/,
      outcome: rolledBack,
    },
    {
      what: 'a query under way, which fails',
      files: code('sql`INSERT INTO nowhere VALUES (22)`.catch(() => {});'),
      says: /it ended while a query was under way/,
      outcome: rolledBack,
    },
    {
      what: 'queries one after another',
      files: code(
        '(async () => { for (let n = 0; n < 5; n++) await sql`INSERT INTO runs VALUES (22)`; })().catch(() => {});',
      ),
      says: /it ended while a query was under way/,
      outcome: rolledBack,
    },
    {
      what: 'a query under way outside a transaction',
      files: codeOutside('sql`INSERT INTO runs VALUES (22)`.then(() => {});'),
      says: /it ended while a query was under way/,
      left: [2, 22],
      outcome: stays,
    },
    {
      what: 'undefined, thrown',
      files: code('throw undefined;'),
      says: /failed in migrations\/2_x\.ts\n {2}undefined/,
      outcome: rolledBack,
    },
    { what: 'a text, thrown', files: code("throw 'so what';"), says: /so what/, outcome: rolledBack },
  ])('$what', checkFailure);

  it.each([
    ['in a transaction', code(later)],
    ['outside of one', codeOutside(later)],
  ])('sends no query into another migration: %s', (_, files) =>
    withProject(
      { ...around, ...files, '3_last.sql': 'INSERT INTO runs VALUES (3); SELECT pg_sleep(0.2);' },
      async (project) => {
        await project.migrate();
        expect(await runsOf(project)).toEqual([2, 3]);
      },
    )(),
  );

  it(
    'may leave over a part of a query, and a query that another holds',
    withProject(
      {
        ...around,
        ...code(
          `const parts = { all: sql\`\`, some: sql\`WHERE n > 1\` };
          const both = sql\`SELECT n FROM runs\`;
          await sql\`SELECT * FROM (\${both}) r \${parts.all}\`;`,
        ),
      },
      async ({ migrate, versions }) => {
        await migrate();
        expect(await versions()).toEqual(['1', '2', '3']);
      },
    ),
  );
});
