import { describe, expect, it } from 'vitest';
import { eduschema } from '../helpers/eduschema.ts';
import { withProject } from '../helpers/project.ts';

const up = '-- migrate:up placeholders:true\n';

describe('placeholders', () => {
  const hostile = [
    "it's",
    'C:\\dir\\',
    "'; DROP TABLE said; --",
    '$$',
    '/*',
    '',
    '교육 😀',
    'a\nb',
    ':x',
    '$(other)',
    '\\',
  ];

  it(
    'are quoted: a value is a value, whatever stands in it and beside it',
    withProject(
      { '1_t.sql': 'CREATE TABLE said (n serial, word text);' },
      async ({ migrate, write, sql }) => {
        for (const [index, value] of hostile.entries()) {
          write({
            [`${index + 2}_v.sql`]: `${up}INSERT INTO said (word) VALUES ($(value)), ('' || $(value)), (concat($(value)));\nINSERT INTO said (word) SELECT ($(value));\nINSERT INTO said (word) SELECT $(value)AS x;\n`,
          });
          await migrate({}, { placeholders: { value, other: 'no' } });
          expect(await sql`SELECT word FROM said`).toEqual(
            Array.from({ length: 5 }, () => ({ word: value })),
          );
          await sql`DELETE FROM said`;
        }
      },
    ),
  );

  it.each(["'a'$(v)", 'U&$(v)', 'E$(v)', "$(v)'b'", '$(v)"b"', "'a'\n'b'$(v)"])(
    '%s cannot become another token: the server refuses it, or it is none',
    (text) =>
      withProject(
        { '1_v.sql': `${up}CREATE TABLE said AS SELECT ${text} || 'x' AS word;` },
        async ({ migrate, sql }) => {
          const error = await migrate({}, { placeholders: { v: "\\0041'" } }).catch((caught) => caught);
          if (error?.code === 'migration-failed')
            return expect(error.message).toMatch(/\((42601|42703|42883|42704)\)/);
          expect(await sql`SELECT word FROM said`).toEqual([{ word: `a${"\\0041'"}x` }]);
        },
      )(),
  );

  it(
    'are identifiers in double quotes, and text in strings, comments and COPY data',
    withProject(
      {
        '1_v.sql': `${up}CREATE TABLE $("name") (word text);
INSERT INTO $("name") VALUES ('$(name)'), ($$$(name)$$), ($(name)); -- $(name) $(unknown)
/* $(unknown) */ COPY $("name") FROM stdin;
$(name)
\\.
-- migrate:down
DROP TABLE $("name");
`,
      },
      async ({ migrate, rollback, sql, versions }) => {
        const placeholders = { name: 'My "own" table' };
        await migrate({}, { placeholders });
        expect(await sql`SELECT word FROM "My ""own"" table"`).toEqual(
          ['$(name)', '$(name)', 'My "own" table', '$(name)'].map((word) => ({ word })),
        );
        await rollback({}, { placeholders });
        expect(await versions()).toEqual([]);
      },
    ),
  );

  it(
    'do not count into the checksum, and are not needed once they are applied',
    withProject({ '1_v.sql': `${up}SELECT $(v);` }, async ({ migrate, status }) => {
      await migrate({}, { placeholders: { v: 'one' } });
      expect((await migrate({}, { placeholders: { v: 'two' } })).done).toEqual([]);
      expect((await status()).counts).toMatchObject({ applied: 1, edited: 0 });
    }),
  );

  it(
    'an error shows the file as it is written, not the value',
    withProject({ '1_v.sql': `${up}CREATE ROLE x PASSWORD $(secret) NOSUCH;` }, async ({ migrate }) => {
      const error = await migrate({}, { placeholders: { secret: 'hunter2' } }).catch((caught) => caught);
      expect(error).toMatchObject({
        code: 'migration-failed',
        details: { line: 2, column: 34, statement: 'CREATE ROLE x PASSWORD $(secret) NOSUCH' },
      });
      expect(JSON.stringify([error.message, error.excerpt, error.details])).not.toContain('hunter2');
    }),
  );

  it.each([
    ['SELECT 1;\nSELECT $(other);', 'the placeholder other has no value at line 3'],
    ['SELECT $(toString);', 'what begins with $( is no placeholder at line 2'],
    ['SELECT $(constructor);', 'the placeholder constructor has no value at line 2'],
    ['SELECT $( name );', 'what begins with $( is no placeholder at line 2'],
  ])('%j is refused', (text, message) =>
    withProject({ '1_v.sql': up + text }, async ({ migrate }) => {
      await expect(migrate({}, { placeholders: { name: 'x' } })).rejects.toMatchObject({
        code: 'migration-invalid',
        message: `${message} of migrations/1_v.sql`,
      });
    })(),
  );

  it(
    'come from the configuration, and from variables before that; a dry run shows them',
    withProject(
      { '1_v.sql': `${up}CREATE TABLE $("app_table") AS SELECT $(word) AS word;` },
      async ({ folder, url, sql, write }) => {
        write({
          '../eduschema.config.json': JSON.stringify({ placeholders: { app_table: 'a', word: "it's" } }),
        });
        const surroundings = {
          cwd: folder,
          env: { DATABASE_URL: url, EDUSCHEMA_PLACEHOLDER_APP_TABLE: 'b' },
        };

        expect((await eduschema('migrate --dry-run', surroundings)).stdout).toContain(
          `CREATE TABLE "b" AS SELECT 'it''s' AS word`,
        );
        expect((await eduschema('migrate', surroundings)).exitCode).toBe(0);

        expect(await sql`SELECT word FROM b`).toEqual([{ word: "it's" }]);
      },
    ),
  );

  it.each([
    [{ 'App-Role': 'x' }, '"placeholders.App-Role" is no name for a placeholder'],
    [{ n: 5 }, '"placeholders.n" must be a string'],
  ])('%j in the configuration is refused', (placeholders, message) =>
    withProject({ '1_v.sql': 'SELECT 1;' }, async ({ folder, url, write }) => {
      write({ '../eduschema.config.json': JSON.stringify({ placeholders }) });
      const { exitCode, stderr } = await eduschema('migrate', { cwd: folder, env: { DATABASE_URL: url } });
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
    })(),
  );
});
