import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withProject } from '../helpers/project.ts';
import { findPsql } from '../helpers/psql.ts';

const psql = findPsql();

/** Each file writes into `said`; what stands in it must be what psql makes of the same file. */
const table = 'CREATE TABLE said (n int GENERATED ALWAYS AS IDENTITY, word text);\n';
const files: Readonly<Record<string, string>> = {
  'variables in all forms': `\\set word 'it''s'
\\set name said
\\set number 7
INSERT INTO :name (word) VALUES (:'word'), (:number), (:'number'::text);
INSERT INTO :"name" (word) VALUES ('x');`,
  'what is no variable': `\\set n 2
\\set text integer
INSERT INTO said (word) VALUES (1::text), ((ARRAY[1,2,3])[1: :n]::text), (':n'), ($$:n$$), ($a$:'n'$a$), (E':n\\\\'), (':unset');
-- :n
/* :n */ INSERT INTO said (word) SELECT (ARRAY[1,2,3])[:n:3]::text;
DO $$ DECLARE a int := 5; BEGIN INSERT INTO said (word) VALUES (a); END $$;`,
  'a name that was not set is left alone':
    'INSERT INTO said (word) SELECT (ARRAY[4,5,6])[2:3]::text;\n\\set x 1\n',
  'quotes and escapes in arguments': `\\set a 'one two' three four
\\set b 'tab\\there' :a
\\set c :'a'
\\set d
\\set e \\
INSERT INTO said (word) VALUES (:'a'), (:'b'), (:'c'), (:'d');`.replace('\\set e \\\n', ''),
  'backslashes in a quoted value': "\\set path 'C:\\\\dir\\\\'\nINSERT INTO said (word) VALUES (:'path');",
  'a variable in the value of another': `\\set inner 42
\\set outer ':inner'
INSERT INTO said (word) VALUES (:outer), (:'outer');`,
  'unset, and the question whether it is set': `\\set x 1
INSERT INTO said (word) SELECT 'set' WHERE :{?x};
\\unset x
INSERT INTO said (word) SELECT 'not set' WHERE NOT :{?x};`,
  branches: `\\set yes on
\\set no off
\\if :yes
INSERT INTO said (word) VALUES ('if');
\\elif :no
INSERT INTO said (word) VALUES ('elif');
\\else
INSERT INTO said (word) VALUES ('else');
\\endif
\\if :no
  \\if :yes
INSERT INTO said (word) VALUES ('inner');
  \\else
INSERT INTO said (word) VALUES ('inner else');
  \\endif
  \\set yes changed
  \\i nowhere.sql
  \\connect nowhere
\\elif tru
INSERT INTO said (word) VALUES ('elif');
\\elif 1
INSERT INTO said (word) VALUES ('second elif');
\\endif
INSERT INTO said (word) VALUES (:'yes');`,
  'branches within a statement': `\\set extended 1
INSERT INTO said (word) VALUES ('one')
\\if :extended
  , ('two')
\\else
  , ('three')
\\endif
;`,
  'what only speaks':
    "\\echo hello 'world'\n\\qecho x\n\\warn y\nINSERT INTO said (word) VALUES ('z'); \\echo behind\n",
  'Windows line ends':
    "\\set word 'w'\r\n\\if true\r\nINSERT INTO said (word) VALUES (:'word');\r\n\\endif\r\n",
  'a table from a variable, with data':
    "\\set t said\nCOPY :t (word) FROM stdin;\n:t\n\\\\if\n$(x)\n\\.\nINSERT INTO said (word) VALUES ('after');",
  'included files': `\\set who world
\\ir include/hello.sql
\\ir 'include/with blank.sql';
INSERT INTO said (word) VALUES (:'answer');`,
};

const included = {
  'include/hello.sql':
    "INSERT INTO said (word) VALUES ('hello ' || :'who');\n\\ir deeper/end.sql\n\\set answer 42",
  'include/deeper/end.sql': "INSERT INTO said (word) VALUES ('no semicolon') -- at the end",
  'include/with blank.sql': 'COPY said (word) FROM stdin;\nlast line without its end',
};

const said = 'SELECT word FROM said ORDER BY n';

describe.skipIf(!psql)('psql commands do what they do in psql', () => {
  for (const [name, text] of Object.entries(files)) {
    it(
      name,
      withProject(
        { ...included, '1_t.sql': table, '2_x.sql': text },
        async ({ url, migrate, settings, sql }) => {
          const path = join(settings.directory, '2_x.sql');
          const ours = async () => (await sql.unsafe(said)).map(({ word }) => word);
          await migrate({ to: '1' });
          execFileSync(psql as string, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url, '-f', path], {
            stdio: 'pipe',
          });
          const theirs = await ours();
          await sql`TRUNCATE said RESTART IDENTITY`;

          await migrate();

          expect(theirs.length).toBeGreaterThan(0);
          expect(await ours()).toEqual(theirs);
        },
      ),
    );

    it(
      `${name}, in the script of --dry-run`,
      withProject(
        { ...included, '1_t.sql': table, '2_x.sql': text },
        async ({ url, migrate, sql, versions }) => {
          const { script } = await migrate({ dryRun: true });
          execFileSync(psql as string, ['-X', '-q', '-d', url], { input: script ?? '', stdio: 'pipe' });
          const theirs = (await sql.unsafe(said)).map(({ word }) => word);
          expect(await versions()).toEqual(['1', '2']);

          await sql`DROP TABLE said, schema_versions`;
          await migrate();

          expect((await sql.unsafe(said)).map(({ word }) => word)).toEqual(theirs);
        },
      ),
    );
  }
});

describe('psql commands that are refused', () => {
  it.each([
    ['\\connect other', 'the psql command \\connect at line 2', 'one database'],
    ['\\c - other', 'the psql command \\c at line 2', 'one database'],
    ["\\copy said FROM 'x'", 'the psql command \\copy at line 2', 'COPY ... FROM stdin'],
    ['SELECT 1 \\gexec', 'the psql command \\gexec at line 2', 'semicolon'],
    ['SELECT 1 \\g', 'the psql command \\g at line 2', 'semicolon'],
    ['SELECT 1 AS a \\gset', 'the psql command \\gset at line 2', 'semicolon'],
    ['SELECT 1 \\watch', 'the psql command \\watch at line 2', 'write it as SQL'],
    ['\\! rm -rf /', 'the psql command \\! at line 2', 'write it as SQL'],
    ['SELECT 1 \\; SELECT 2;', 'the psql command \\; at line 2', 'semicolon alone'],
    ['\\.', 'the psql command \\. at line 2', 'no COPY'],
    ['\\set x `date`', 'the psql command \\set runs a program at line 2', 'line of its own'],
    [
      '\\set x 1 \\set y 2',
      'the psql command \\set has another command behind it at line 2',
      'line of its own',
    ],
    ["\\set x 'open", "the psql command \\set has a ' that is not closed at line 2", 'line of its own'],
    [
      '\\set AUTOCOMMIT off',
      'the psql command \\set AUTOCOMMIT off cannot be obeyed at line 2',
      'transaction',
    ],
    [
      '\\set ON_ERROR_STOP 0',
      'the psql command \\set ON_ERROR_STOP 0 cannot be obeyed at line 2',
      'first error',
    ],
    ['\\if maybe\n\\endif', 'the psql command \\if maybe is neither true nor false at line 2', '\\set'],
    ['\\if :unset\n\\endif', 'the psql command \\if :unset is neither true nor false at line 2', '\\set'],
    ['\\if true\nSELECT 1;', '\\if without \\endif at line 2', '\\endif'],
    ['\\endif', 'the psql command \\endif has no \\if at line 2', undefined],
    ['\\if true\n\\else\n\\else\n\\endif', 'the psql command \\else has no \\if at line 4', undefined],
    [
      '\\if true\n-- migrate:down\n\\endif',
      '"-- migrate:down" between \\if and \\endif at line 3',
      'outside',
    ],
    [
      "\\set q ''''\nSELECT :q;",
      'the value of :q opens a quote or comment, or has a backslash at line 3',
      ":'q'",
    ],
    ['\\i none.sql', 'the psql command \\i: migrations/none.sql cannot be read (ENOENT) at line 2', 'name'],
    ['\\ir .', 'the psql command \\ir: migrations is no file at line 2', 'name'],
    [
      '\\i /etc/passwd',
      'the psql command \\i /etc/passwd names a file that other machines may not have at line 2',
      '\\ir',
    ],
    ['\\i a.sql b.sql', 'the psql command \\i takes one file at line 2', 'single quotes'],
    ['SELECT 1\n\\ir _part.sql', 'the psql command \\ir stands within a statement at line 3', 'semicolon'],
    [
      '\\ir 1_x.sql',
      'the psql command \\ir 1_x.sql includes a file that is being included already at line 2',
      'circle',
    ],
    ['SELECT $(name);', 'a placeholder at line 2', 'placeholders:true'],
  ])('%j', (text, message, hint) =>
    withProject(
      { '1_x.sql': `SELECT 1;\n${text}\n`, '_part.sql': 'SELECT 2;' },
      async ({ migrate, versions, sql }) => {
        const error = await migrate().catch((caught) => caught);
        expect(error).toMatchObject({
          code: 'migration-invalid',
          message: `${message} of migrations/1_x.sql`,
        });
        if (hint) expect(error.hint).toContain(hint);
        expect(await sql`SELECT to_regclass('schema_versions') AS none`).toEqual([{ none: null }]);
        void versions;
      },
    )(),
  );

  it.each([
    ['\\connect x', 'the psql command \\connect at line 3 of migrations/include/_b.sql'],
    [
      '\\ir _a.sql',
      'the psql command \\ir _a.sql includes a file that is being included already at line 3 of migrations/include/_b.sql',
    ],
    ['-- migrate:down', '"-- migrate:down" in an included file at line 3 of migrations/include/_b.sql'],
    ["SELECT 'open", 'a quote or comment that is not closed at line 3 of migrations/include/_b.sql'],
    [
      'COMMIT;',
      'COMMIT at line 3 of migrations/include/_b.sql: eduschema runs each file in a transaction of its own',
    ],
  ])('%j in an included file', (text, message) =>
    withProject(
      {
        '1_x.sql': '-- migrate:up\n\\i include/_a.sql\n',
        'include/_a.sql': '\\ir _b.sql\n',
        'include/_b.sql': `SELECT 1;\n\n${text}\n`,
      },
      async ({ migrate }) => {
        await expect(migrate()).rejects.toMatchObject({ code: 'migration-invalid', message });
      },
    )(),
  );
});

describe('included files', () => {
  const project = {
    '1_x.sql': '-- migrate:up\nCREATE TABLE t (a int);\n\\ir include/_part.sql\nSELECT 1;\n',
    'include/_part.sql': 'INSERT INTO t VALUES (1);\n\nINSERT INTO t VALUES (x);\n',
    'repeatable/v.sql': '\\ir ../include/view.sql\n',
    'include/view.sql': 'CREATE OR REPLACE VIEW v AS SELECT 1 AS one;\n',
  };

  it(
    'errors name the included file, its line and column',
    withProject(project, async ({ migrate }) => {
      await expect(migrate()).rejects.toMatchObject({
        code: 'migration-failed',
        message: 'migration 1_x failed at line 3 of migrations/include/_part.sql (42703)',
        details: {
          file: 'migrations/include/_part.sql',
          line: 3,
          column: 23,
          statement: 'INSERT INTO t VALUES (x)',
        },
        excerpt: expect.stringContaining('3 | INSERT INTO t VALUES (x);\n    |                       ^'),
      });
    }),
  );

  it(
    'behind an included file, errors name the line of the migration',
    withProject(
      {
        '1_x.sql': "\\ir _a.sql\n\\set long abcdefghijkl\nSELECT :'long',\n  wrong;\n",
        '_a.sql': 'SELECT 1;\nSELECT 2;\nSELECT 3;',
      },
      async ({ migrate }) => {
        await expect(migrate()).rejects.toMatchObject({
          message: 'migration 1_x failed at line 4 of migrations/1_x.sql (42703)',
          details: { line: 4, column: 3, statement: "SELECT :'long',\n  wrong" },
        });
      },
    ),
  );

  it(
    'count into the checksum: an edit is seen by status, verify and migrate, and a repeatable one is applied again',
    withProject(
      { ...project, 'include/_part.sql': 'INSERT INTO t VALUES (1);' },
      async ({ migrate, write, status, sql }) => {
        await migrate();
        expect((await status()).counts).toMatchObject({ applied: 2, pending: 0, edited: 0 });

        write({ 'include/view.sql': 'CREATE OR REPLACE VIEW v AS SELECT 2 AS one;\n' });
        expect((await status()).counts).toMatchObject({ applied: 1, pending: 1, edited: 0 });
        await migrate();
        expect(await sql`SELECT one FROM v`).toEqual([{ one: 2 }]);

        write({ 'include/_part.sql': 'INSERT INTO t VALUES (2);' });
        expect((await status()).counts).toMatchObject({ edited: 1 });
        await expect(migrate()).rejects.toMatchObject({ code: 'migration-edited' });

        write({ 'include/_part.sql': '\ufeffINSERT INTO t VALUES (1);' });
        expect((await status()).counts).toMatchObject({ applied: 2, edited: 0 });
      },
    ),
  );

  it(
    'that are gone after they were applied are an edit, and no error of status',
    withProject({ ...project, 'include/_part.sql': 'SELECT 1;' }, async ({ migrate, settings, status }) => {
      await migrate();
      const { rmSync } = await import('node:fs');
      rmSync(join(settings.directory, 'include/_part.sql'));
      expect((await status()).counts).toMatchObject({ edited: 1 });
    }),
  );

  it(
    'a file without any keeps the checksum that it had',
    withProject({ '1_x.sql': "SELECT '\\\\i x';\n" }, async ({ migrate, sql }) => {
      await migrate();
      const { createHash } = await import('node:crypto');
      const expected = createHash('sha256').update("SELECT '\\\\i x';\n").digest('hex');
      expect(await sql`SELECT checksum FROM schema_versions`).toEqual([{ checksum: expected }]);
    }),
  );

  it(
    'are rolled back by the down section, which may include as well',
    withProject(
      {
        '1_x.sql': '\\set t made\n-- migrate:up\n\\ir _up.sql\n-- migrate:down\n\\ir _down.sql\n'.replace(
          '\\set t made\n',
          '',
        ),
        '_up.sql': 'CREATE TABLE made ();',
        '_down.sql': 'DROP TABLE made;',
      },
      async ({ migrate, rollback, sql, versions }) => {
        await migrate();
        await rollback();
        expect(await versions()).toEqual([]);
        expect(await sql`SELECT to_regclass('made') AS none`).toEqual([{ none: null }]);
      },
    ),
  );
});
