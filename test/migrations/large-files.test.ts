import { createHash } from 'node:crypto';
import { appendFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { copyFromFile, stampOf } from '../../src/db/copy.ts';
import { withProject } from '../helpers/project.ts';

const row = (n: number) => `${n}\t교육 ${n} ${'x'.repeat(90)}\\\\.\t\\N\n`;
const rows = Array.from({ length: 80_000 }, (_, n) => row(n)).join('');
const create = 'CREATE TABLE big (id int, note text, nothing text);\n';
const copy = (data: string) => `COPY big FROM stdin;\n${data}\\.\n`;
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

describe('files larger than 8 MB', () => {
  it(
    'are applied whole, with what stands around the data, and have the same checksum as ever',
    withProject({}, async ({ migrate, rollback, settings, sql, write, status }) => {
      const text = `-- migrate:up\n${create}${copy(rows)}${copy(row(-1))}INSERT INTO big VALUES (-2, 'a''b');\n-- migrate:down\nDROP TABLE big;\n`;
      write({ '1_big.sql': text });
      expect(Buffer.byteLength(text)).toBeGreaterThan(8 * 1024 * 1024);

      await migrate();

      expect(
        await sql`SELECT count(*)::int AS rows, min(id) AS least, bool_and(id < 0 OR note = '교육 ' || id || ' ' || repeat('x', 90) || '\\.') AS right, count(nothing)::int AS filled FROM big`,
      ).toEqual([{ rows: 80_002, least: -2, right: true, filled: 0 }]);
      expect(await sql`SELECT checksum FROM schema_versions`).toEqual([{ checksum: hash(text) }]);
      writeFileSync(join(settings.directory, '1_big.sql'), `\ufeff${text.replaceAll('\n', '\r\n')}`);
      expect((await status()).counts).toMatchObject({ applied: 1, edited: 0 });
      await rollback();
      expect(await sql`SELECT to_regclass('big') AS none`).toEqual([{ none: null }]);
      await migrate();
      expect(await sql`SELECT count(*)::int AS rows FROM big`).toEqual([{ rows: 80_002 }]);
      appendFileSync(join(settings.directory, '1_big.sql'), '\n');
      expect((await status()).counts).toMatchObject({ edited: 1 });
    }),
  );

  it(
    'errors name the line, in the data, behind it, and in a statement',
    withProject({}, async ({ migrate, write, versions, sql }) => {
      write({ '1_big.sql': `${create}${copy(`${rows}no number\tx\t\\N\n${row(1)}`)}` });
      await expect(migrate()).rejects.toMatchObject({
        message: 'migration 1_big failed at line 80003 of migrations/1_big.sql (22P02)',
        excerpt: expect.stringMatching(/80002 \| 79999 {2}교육 79999 x+.*\n +80003 \| no number {2}x/),
        details: { line: 80_003, column: 1 },
      });

      write({ '1_big.sql': `${create}${copy(rows)}${copy(row(1))}\nSELECT 1,\n  wrong;\n` });
      await expect(migrate()).rejects.toMatchObject({
        message: 'migration 1_big failed at line 80009 of migrations/1_big.sql (42703)',
        excerpt: expect.stringContaining('80009 |   wrong;\n        |   ^'),
        details: { line: 80_009, column: 3, statement: 'SELECT 1,\n  wrong' },
      });

      write({ '1_big.sql': `${create}${copy(rows)}\nCOMMIT;\n` });
      await expect(migrate()).rejects.toThrow('COMMIT at line 80005 of migrations/1_big.sql');
      expect(await versions()).toEqual([]);
      expect(await sql`SELECT to_regclass('big') AS none`).toEqual([{ none: null }]);
    }),
  );

  it(
    'that are no UTF-8, in the data or at its end, are refused before anything runs',
    withProject({}, async ({ migrate, write, sql }) => {
      for (const end of [Buffer.from([0xe9, 0x0a]), Buffer.from([0xea, 0xb5])]) {
        write({ '1_big.sql': Buffer.concat([Buffer.from(`${create}COPY big FROM stdin;\n${rows}`), end]) });
        await expect(migrate()).rejects.toMatchObject({
          code: 'file-unreadable',
          message: 'migrations/1_big.sql is not UTF-8',
        });
      }
      expect(await sql`SELECT to_regclass('schema_versions') AS none`).toEqual([{ none: null }]);
    }),
  );

  it(
    'may use psql commands and placeholders, be included, and stand in repeatable/',
    withProject({}, async ({ migrate, write, sql }) => {
      write({
        '1_t.sql': create,
        '2_x.sql':
          '-- migrate:up placeholders:true\n\\set t big\n\\ir include/rows.sql\nINSERT INTO big VALUES (-3);\n',
        'include/rows.sql': `\\if true\nCOPY :t FROM stdin;\n${rows}\\.\n\\else\nCOPY :t FROM stdin;\n${row(-9)}\\.\n\\endif\nINSERT INTO :"t" VALUES (-4, $(v));\nCOPY :t FROM stdin;\n${row(-5)}`,
        'repeatable/r.sql': `TRUNCATE big;\n${copy(rows)}`,
      });
      await migrate({ to: '2' }, { placeholders: { v: '$' } });
      expect(
        await sql`SELECT count(*)::int AS rows, array_agg(id ORDER BY id) FILTER (WHERE id < 0) AS small FROM big`,
      ).toEqual([{ rows: 80_000, small: null }]);
      write({
        'repeatable/r.sql': 'SELECT 1;',
        '3_again.sql':
          '-- migrate:up placeholders:true\n\\set t big\n\\ir include/rows.sql\nINSERT INTO big VALUES (-3);\n',
      });
      await migrate({}, { placeholders: { v: '$' } });
      expect(
        await sql`SELECT count(*)::int AS rows, array_agg(id ORDER BY id) FILTER (WHERE id < 0) AS small FROM big`,
      ).toEqual([{ rows: 160_003, small: [-5, -4, -3] }]);
    }),
  );

  it(
    'a dry run shows the SQL and says that the data is not there; psql does not go on',
    withProject({}, async ({ migrate, write }) => {
      write({ '1_big.sql': `${create}${copy(rows)}${copy(row(-1))}SELECT 'behind';\n` });
      const { script = '' } = await migrate({ dryRun: true });

      expect(script.length).toBeLessThan(5000);
      const bytes = Buffer.byteLength(rows + row(-1));
      expect(script).toContain(
        `\\warn 1_big has ${bytes} bytes of COPY data that are not in this script: run eduschema\n\\q\n`,
      );
      expect(script).toContain(
        `COPY big FROM stdin;\n-- ${Buffer.byteLength(rows)} bytes of data are left out here\n\\.\n`,
      );
      expect(script).toContain("SELECT 'behind'");
      expect(script.indexOf('\\q\n')).toBeLessThan(script.indexOf('CREATE TABLE big'));
    }),
  );

  it(
    'a file that is changed between reading and sending is not sent',
    withProject({}, async ({ migrate, write, settings, sql }) => {
      write({ '1_slow.sql': 'SELECT 1;', '2_big.sql': `${create}${copy(rows)}` });
      const onProgress = (event: { type: string; name?: string }) => {
        if (event.type === 'done' && event.name?.startsWith('1_'))
          appendFileSync(join(settings.directory, '2_big.sql'), '-- more\n');
      };
      await expect(migrate({}, { onProgress })).rejects.toMatchObject({ code: 'migration-edited' });
      expect(await sql`SELECT to_regclass('big') AS none`).toEqual([{ none: null }]);
    }),
  );

  it(
    'a file that becomes shorter while it is sent leaves no row, and the session goes on',
    withProject({ '1_short.sql': '1\n2\n' }, async ({ open, settings, sql }) => {
      await sql`CREATE TABLE short (n int)`;
      const path = join(settings.directory, '1_short.sql');
      const range = { path, start: 0, end: 100, at: 0, stamp: stampOf(statSync(path)) };
      await open(async (session) => {
        await expect(copyFromFile(session, 'COPY short FROM stdin', range)).rejects.toMatchObject({
          code: 'migration-edited',
        });
        expect(await session.sql`SELECT count(*)::int AS rows FROM short`).toEqual([{ rows: 0 }]);
        await copyFromFile(session, 'COPY short FROM stdin', { ...range, end: 4 });
        expect(await session.sql`SELECT count(*)::int AS rows FROM short`).toEqual([{ rows: 2 }]);
      });
    }),
  );
});
