import { describe, expect, it } from 'vitest';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';

/** A table with two months, the rest, and an index that one of them lacks. */
const logs = `
  CREATE TABLE logs (id bigint, at timestamptz) PARTITION BY RANGE (at);
  CREATE TABLE logs_2026_11 PARTITION OF logs FOR VALUES FROM ('2026-11-01 00:00+09') TO ('2026-12-01 00:00+09');
  CREATE TABLE logs_2026_12 PARTITION OF logs FOR VALUES FROM ('2026-12-01 00:00+09') TO ('2027-01-01 00:00+09');
  CREATE TABLE logs_default PARTITION OF logs DEFAULT;
  COMMENT ON TABLE logs IS 'What happened.';
  INSERT INTO logs SELECT i, '2026-11-10' FROM generate_series(1, 100) i;
  ANALYZE logs;
  CREATE INDEX logs_at ON ONLY logs (at);
  CREATE INDEX logs_2026_11_at ON logs_2026_11 (at);
  ALTER INDEX logs_at ATTACH PARTITION logs_2026_11_at;`;

const withLogs = (
  use: (run: (line: string) => ReturnType<typeof eduschema>, test: TestDatabase) => Promise<void>,
) =>
  withDatabase((test) =>
    withFolder({}, async (cwd) => {
      await test.sql.unsafe(logs);
      await use((line) => eduschema(line, { cwd, env: { DATABASE_URL: test.url } }), test);
    }),
  );

describe('partitions list', () => {
  it(
    'shows each partition with its bounds in the zone, its rows, and the indexes that it lacks',
    withLogs(async (run) => {
      const { stdout, exitCode } = await run('partitions list');

      expect(exitCode).toBe(0);
      expect(stdout).toMatch(/logs_2026_11 +2026-11-01 +2026-12-01 +~100 +\d+ kB\n/);
      expect(stdout).toMatch(/logs_2026_12 .* no valid index for logs_at\n/);
      expect(stdout).toMatch(/logs_default .* default; no valid index for logs_at\n/);
      expect(stdout).toContain('3 partitions of 1 table');
      expect((await run('partitions list logs --zone UTC --json')).json()).toMatchObject({
        rows: [
          { from: '2026-10-31 15:00:00' },
          { missingIndexes: ['logs_at'] },
          { isDefault: true, from: null },
        ],
      });
    }),
  );

  it(
    'says that there is none, and what a name that leads to none is',
    withDatabase((test) =>
      withFolder({}, async (cwd) => {
        const run = (line: string) => eduschema(line, { cwd, env: { DATABASE_URL: test.url } });
        await test.sql`CREATE TABLE plain (id int)`;

        expect((await run('partitions list')).stdout).toContain('no table is partitioned by a time');
        expect(await run('partitions list plain')).toMatchObject({
          exitCode: 2,
          stderr: expect.stringContaining('eduschema partitions convert public.plain --by <column>'),
        });
        expect(await run('partitions list nothing')).toMatchObject({
          exitCode: 2,
          stderr: expect.stringContaining('there is no table public.nothing'),
        });
      }),
    ),
  );
});

describe('partitions policy', () => {
  it(
    'shows what counts and who said it, and writes what is given below what people wrote',
    withLogs(async (run, { sql }) => {
      expect((await run('partitions policy logs')).stdout).toMatch(
        /logs +Asia\/Seoul \(default\) +month \(partitions\) +3mo \(default\)/,
      );

      expect((await run('partitions policy logs --keep 24mo')).exitCode).toBe(0);
      const { stdout } = await run('partitions policy logs --zone UTC');

      expect(stdout).toMatch(/logs +UTC +.* 24mo/);
      const [table] = await sql`SELECT obj_description('logs'::regclass) AS comment`;
      expect(table?.comment).toBe(
        'What happened.\n{"eduschema":{"partitions":{"zone":"UTC","keep":"24mo"}}}',
      );
    }),
  );

  it.each([
    ['--keep 24', '--keep is "24"'],
    ['--zone Asia/Soul', 'the server knows no time zone "Asia/Soul"'],
    ['--unit fortnight', '--unit is "fortnight"'],
  ])('%s is refused, and nothing is written', (option, message) =>
    withLogs(async (run, { sql }) => {
      expect(await run(`partitions policy logs ${option}`)).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining(message),
      });
      expect(await sql`SELECT obj_description('logs'::regclass) AS comment`).toEqual([
        { comment: 'What happened.' },
      ]);
    })(),
  );

  it.each([
    ['{"eduschema":{"partitions":{"unit":"fortnight"}}}', 'the unit "fortnight" is not one of'],
    ['{"eduschema":{"partitions":{"keep":"24mo",}}}', 'it is no JSON that eduschema writes'],
  ])(
    '%s in a comment is refused with the name of the table, found by check, and can be put right',
    (line, message) =>
      withLogs(async (run, { sql }) => {
        await sql.unsafe(`COMMENT ON TABLE logs IS E'Mine.\\n${line}'`);

        for (const command of ['list', 'ensure', 'policy logs', 'retain logs --keep 1y --yes'])
          expect(await run(`partitions ${command}`)).toMatchObject({
            exitCode: 2,
            stderr: expect.stringMatching(`in the comment of public.logs, .*: ${message}`),
          });
        expect((await run('partitions check --json')).json().rows).toMatchObject([
          { code: 'policy-invalid' },
        ]);

        expect((await run('partitions policy logs --unit month')).exitCode).toBe(0);
        const [table] = await sql`SELECT obj_description('logs'::regclass) AS comment`;
        expect(table?.comment).toBe('Mine.\n{"eduschema":{"partitions":{"unit":"month"}}}');
      })(),
  );

  it(
    'has the whole path of its archive, wherever it was written from',
    withLogs(async (run, { sql }) => {
      await run('partitions policy logs --archive old/logs --keep 24mo');

      const [table] = await sql`SELECT obj_description('logs'::regclass) AS comment`;
      expect(table?.comment).toMatch(/"archive":"\/.*\/old\/logs"/);
      const retained = await run('partitions retain --dry-run');
      expect(retained.exitCode, retained.stderr).toBe(0);
    }),
  );

  it(
    'is not written for all tables at once, nor by who does not own the table',
    withLogs(async (run, { createUser, sql }) => {
      expect(await run('partitions policy --keep 1y')).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('a policy is written for the tables that are named'),
      });
      const user = await createUser();
      const denied = await eduschema(`partitions policy logs --keep 1y --url ${user.url}`, {
        cwd: '/',
        env: {},
      });
      expect([denied.exitCode, denied.stderr]).toEqual([
        2,
        expect.stringContaining('must be owner of table logs'),
      ]);
      expect(await sql`SELECT obj_description('logs'::regclass) AS comment`).toEqual([
        { comment: 'What happened.' },
      ]);
    }),
  );
});
