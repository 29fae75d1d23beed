import { describe, expect, it } from 'vitest';
import { eduschema } from '../helpers/eduschema.ts';
import { withProject } from '../helpers/project.ts';

const files = {
  '1.0.0_one.sql': '-- migrate:up\nCREATE TABLE one (id int);\n-- migrate:down\nDROP TABLE one;\n',
  '1.1.0_교육_자료.sql': '-- migrate:up\nCREATE TABLE two (id int);\n-- migrate:down\nDROP TABLE two;\n',
};

describe('eduschema migrate', () => {
  it(
    'says what it applied, and is quiet about nothing to do',
    withProject(files, async ({ folder: cwd, url }) => {
      const env = { DATABASE_URL: url };
      const first = await eduschema('migrate', { cwd, env });

      expect(first).toMatchObject({ exitCode: 0, stderr: '' });
      // As wide as the longest time.
      expect(first.stdout.replace(/ +(\d+ ms|time)/g, (_, end) => `  ${end.replace(/\d+/, 'N')}`)).toBe(
        [
          'version  description  time',
          '1.0.0    one  N ms',
          '1.1.0    교육 자료  N ms',
          '',
          '2 migrations applied in  N ms; the current version is 1.1.0',
          '',
        ].join('\n'),
      );
      expect((await eduschema('migrate', { cwd, env })).stdout).toBe(
        'nothing to do; the current version is 1.1.0\n',
      );
    }),
  );

  it(
    'prints one JSON document',
    withProject(files, async ({ folder: cwd, url }) => {
      const { exitCode, stderr, json } = await eduschema('migrate --json', {
        cwd,
        env: { DATABASE_URL: url },
      });

      expect(exitCode).toBe(0);
      const events = stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event);
      expect(events).toEqual(['started', 'done', 'started', 'done']);
      expect(json()).toEqual({
        ok: true,
        rows: [
          {
            name: '1.0.0_one',
            version: '1.0.0',
            description: 'one',
            file: 'migrations/1.0.0_one.sql',
            durationMs: expect.any(Number),
          },
          {
            name: '1.1.0_교육_자료',
            version: '1.1.0',
            description: '교육 자료',
            file: 'migrations/1.1.0_교육_자료.sql',
            durationMs: expect.any(Number),
          },
        ],
        summary: { applied: 2, previous: null, current: '1.1.0' },
      });
    }),
  );

  it(
    'shows a failure as psql would, and better',
    withProject(
      {
        ...files,
        '1.4.0_search.sql': 'CREATE TABLE s (\n  id   bigint primary key,\n  name citex not null\n);\n',
      },
      async ({ folder: cwd, url }) => {
        const { exitCode, stdout, stderr } = await eduschema('migrate', { cwd, env: { DATABASE_URL: url } });

        expect([exitCode, stdout]).toEqual([2, '']);
        expect(stderr).toBe(
          [
            'migration 1.4.0_search failed at line 3 of migrations/1.4.0_search.sql (42704)',
            '  type "citex" does not exist',
            '',
            '  1 | CREATE TABLE s (',
            '  2 |   id   bigint primary key,',
            '  3 |   name citex not null',
            '    |        ^',
            '',
            'nothing of 1.4.0 was applied; 1.1.0 is the current version',
            'hint: fix the file and run eduschema migrate again',
            '',
          ].join('\n'),
        );
      },
    ),
  );

  it(
    'shows a failure as JSON',
    withProject({ '1_bad.sql': 'SELECT 1;\nSELECT wrong;' }, async ({ folder: cwd, url }) => {
      const { exitCode, json } = await eduschema('migrate --json', { cwd, env: { DATABASE_URL: url } });

      expect(exitCode).toBe(2);
      expect(json()).toMatchObject({
        ok: false,
        error: {
          code: 'migration-failed',
          hint: 'fix the file and run eduschema migrate again',
          details: {
            file: 'migrations/1_bad.sql',
            line: 2,
            column: 8,
            sqlstate: '42703',
            statement: 'SELECT wrong',
          },
        },
      });
    }),
  );

  it(
    'dry run prints SQL that has the same effect when psql, or anybody, runs it',
    withProject(
      { ...files, '2_copy.sql': 'COPY one FROM stdin;\n1\n\\.\nINSERT INTO one VALUES (2);' },
      async ({ folder: cwd, url, sql, migrate, versions }) => {
        const { stdout } = await eduschema('migrate --dry-run', { cwd, env: { DATABASE_URL: url } });
        expect(await sql`SELECT to_regclass('one') AS one`).toEqual([{ one: null }]);

        const { execFileSync } = await import('node:child_process');
        const { findPsql } = await import('../helpers/psql.ts');
        const psql = findPsql();
        if (psql) execFileSync(psql, ['-X', '-q', '-d', url], { input: stdout });
        else await sql.unsafe(stdout.replace(/^\\.*$/gm, '').replace(/COPY[\s\S]*?\\\.\n/, '')).simple();

        expect(await versions()).toEqual(['1.0.0', '1.1.0', '2']);
        expect((await migrate()).done).toEqual([]);
      },
    ),
  );

  it(
    'shows a warning of the server, and its notices with --verbose alone',
    withProject(
      { '1_w.sql': "DO $$ BEGIN RAISE WARNING 'roles were not created'; RAISE NOTICE 'by the way'; END $$;" },
      async ({ folder: cwd, url, sql }) => {
        const quiet = await eduschema('migrate', { cwd, env: { DATABASE_URL: url } });
        expect(quiet.stderr).toBe('warning: roles were not created\n');

        await sql`DROP TABLE schema_versions`;
        const verbose = await eduschema('migrate --verbose', { cwd, env: { DATABASE_URL: url } });
        expect(verbose.stderr).toContain('notice: by the way\n');

        await sql`DROP TABLE schema_versions`;
        expect(
          (await eduschema('migrate --json', { cwd, env: { DATABASE_URL: url } })).json().summary.warnings,
        ).toEqual(['roles were not created']);
      },
    ),
  );

  it(
    'interrupted, cancels on the server, keeps what is done, and goes on the next time',
    withProject(
      { ...files, '1.2.0_slow.sql': 'CREATE TABLE slow (id int); SELECT pg_sleep(60);' },
      async ({ folder: cwd, url, sql, versions, write }) => {
        const env = { DATABASE_URL: url };
        const outcome = await eduschema('migrate', {
          cwd,
          env,
          async onStart(interrupt) {
            for (;;) {
              await new Promise((resolve) => setTimeout(resolve, 20));
              const [busy] =
                await sql`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
              if (busy) return interrupt();
            }
          },
        });

        expect(outcome).toMatchObject({
          exitCode: 130,
          stderr:
            'interrupted: 2 of 3 done; 1.1.0 is the current version\nhint: run eduschema migrate again to go on\n',
        });
        expect(
          await sql`SELECT count(*)::int AS busy FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`,
        ).toEqual([{ busy: 0 }]);
        expect(await versions()).toEqual(['1.0.0', '1.1.0']);

        write({ '1.2.0_slow.sql': 'CREATE TABLE slow (id int);' });
        expect((await eduschema('migrate', { cwd, env })).exitCode).toBe(0);
        expect(await versions()).toEqual(['1.0.0', '1.1.0', '1.2.0']);
      },
    ),
  );

  it(
    'waits for another runner, says who it is, and gives up in time',
    withProject({ '1_slow.sql': 'SELECT pg_sleep(3);' }, async ({ folder: cwd, url }) => {
      const env = { DATABASE_URL: url };
      const first = eduschema('migrate', { cwd, env });
      await new Promise((resolve) => setTimeout(resolve, 700));

      const impatient = await eduschema('migrate --wait 0.2', { cwd, env });
      expect(impatient.exitCode).toBe(2);
      expect(impatient.stderr).toMatch(
        /another eduschema is at work: pid \d+ \(eduschema, user \w+, .*since 20.*\); waited 0.2 s\nhint: wait/,
      );

      const patient = await eduschema('migrate', { cwd, env });
      expect([(await first).exitCode, patient.exitCode]).toEqual([0, 0]);
      expect(patient.stdout).toBe('nothing to do; the current version is 1\n');
    }),
  );
});

describe('eduschema status, verify, rollback, baseline', () => {
  it(
    'status tells pending from applied, and --exit-code makes it a failure',
    withProject(files, async ({ folder: cwd, url }) => {
      const env = { DATABASE_URL: url };
      await eduschema('migrate --steps 1', { cwd, env });

      const plain = await eduschema('status', { cwd, env });
      expect(plain.exitCode).toBe(0);
      expect(plain.stdout).toContain('1 applied, 1 pending; the current version is 1.0.0');
      expect((await eduschema('status --exit-code', { cwd, env })).exitCode).toBe(1);
      const json = (await eduschema('status --json --exit-code', { cwd, env })).json();
      expect(json).toMatchObject({
        ok: false,
        summary: { current: '1.0.0', applied: 1, pending: 1, edited: 0, missing: 0 },
      });
      expect(json.rows[1]).toMatchObject({ version: '1.1.0', state: 'pending', appliedAt: null });
    }),
  );

  it(
    'verify fails on an edited file and names it',
    withProject(files, async ({ folder: cwd, url, write }) => {
      const env = { DATABASE_URL: url };
      await eduschema('migrate', { cwd, env });
      expect((await eduschema('verify', { cwd, env })).stdout).toContain(
        '2 applied migrations, all as their files say',
      );

      write({ '1.0.0_one.sql': 'SELECT 1;' });
      const { exitCode, stdout } = await eduschema('verify', { cwd, env });

      expect(exitCode).toBe(1);
      expect(stdout).toMatch(/edited +1\.0\.0 +one +migrations\/1\.0\.0_one\.sql/);
    }),
  );

  it(
    'rollback asks, and refuses where nobody can answer',
    withProject(files, async ({ folder: cwd, url, versions }) => {
      const env = { DATABASE_URL: url };
      await eduschema('migrate', { cwd, env });

      expect(await eduschema('rollback', { cwd, env })).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining('hint: add --yes'),
      });
      expect(await eduschema('rollback', { cwd, env, answer: 'no' })).toMatchObject({ exitCode: 2 });
      expect(await versions()).toHaveLength(2);
      expect(await eduschema('rollback', { cwd, env, answer: 'yes' })).toMatchObject({ exitCode: 0 });
      expect(await eduschema('rollback --yes --all', { cwd, env })).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('no version is applied'),
      });

      expect(await versions()).toEqual([]);
    }),
  );

  it(
    'baseline records without running',
    withProject(files, async ({ folder: cwd, url, sql, versions }) => {
      const env = { DATABASE_URL: url };
      await sql`CREATE TABLE one (id int)`;

      expect((await eduschema('baseline 1.0.0', { cwd, env })).stdout).toContain(
        '1 migration recorded without running; the current version is 1.0.0',
      );
      expect((await eduschema('migrate', { cwd, env })).exitCode).toBe(0);
      expect(await versions()).toEqual(['1.0.0', '1.1.0']);
      expect((await eduschema('baseline 7', { cwd, env })).exitCode).toBe(2);
    }),
  );

  it(
    'new writes the next version',
    withProject(files, async ({ folder: cwd, status }) => {
      const { stdout } = await eduschema(['new', 'Add search!'], { cwd });

      expect(stdout).toBe(
        'wrote migrations/1.2.0_add_search.sql\nnext: fill it in, then eduschema migrate\n',
      );
      expect((await status()).rows.at(-1)).toMatchObject({ version: '1.2.0', state: 'pending' });
    }),
  );
});
