import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openClient } from '../helpers/clients.ts';
import { until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';

const bin = resolve(import.meta.dirname, '../../bin/eduschema.cjs');

interface Running {
  readonly child: ChildProcess;
  /** Resolves when stderr holds the text. */
  says(text: string): Promise<void>;
  readonly ended: Promise<{ code: number | null; stderr: string }>;
}

/** The built command line as a process of its own. */
function start({ folder: cwd }: Project, url: string, ...args: string[]): Running {
  const child = spawn(process.execPath, [bin, ...args], {
    cwd,
    env: { PATH: process.env.PATH, DATABASE_URL: url },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr?.on('data', (data) => {
    stderr += data;
  });
  return {
    child,
    async says(text) {
      while (!stderr.includes(text)) await sleep(20);
    },
    ended: new Promise((done) => child.on('close', (code) => done({ code, stderr }))),
  };
}

/** Resolves when a session runs a statement with `text` in it. */
async function untilRuns({ sql }: Project, text: string): Promise<void> {
  const like = `%${text}%`;
  for (;;) {
    const running = await sql`
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND state = 'active' AND query LIKE ${like} AND pid <> pg_backend_pid()`;
    if (running.length > 0) return;
    await sleep(20);
  }
}

describe('eduschema interrupted', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'by %s while it waits for a lock leaves nothing and exits with %i',
    async (signal, exitCode) => {
      await withProject(
        {
          '1_t.sql': 'CREATE TABLE t (id int);',
          '2_a.sql': 'CREATE TABLE a (id int);',
          '3_alter.sql': 'CREATE TABLE before_it (id int); ALTER TABLE t ADD note text;',
        },
        async (project) => {
          await project.migrate({ to: '1' });
          const holder = await openClient(project, 'shop');
          await holder.begin('SELECT FROM t');

          const { child, says, ended } = start(project, project.url, 'migrate');
          await says('waiting for a lock: pid');
          child.kill(signal);
          const { code, stderr } = await ended;

          expect(code).toBe(exitCode);
          expect(stderr).toContain('interrupted: 1 of 2 done; 2 is the current version');
          expect(await project.versions()).toEqual(['1', '2']);
          expect(await project.sql`SELECT to_regclass('before_it') AS none`).toEqual([{ none: null }]);

          await holder.sql`COMMIT`;
          expect((await start(project, project.url, 'migrate').ended).code).toBe(0);
          expect(await project.versions()).toEqual(['1', '2', '3']);
        },
      )();
    },
  );

  it(
    'twice stops at once, though the server goes on, and the next run waits for it',
    withProject(
      {
        '1_deaf.sql': `CREATE TABLE deaf (id int);
          DO $$
          DECLARE until timestamptz := clock_timestamp() + interval '4 s';
          BEGIN
            WHILE clock_timestamp() < until LOOP
              BEGIN PERFORM pg_sleep(0.5); EXCEPTION WHEN query_canceled THEN NULL; END;
            END LOOP;
          END $$;`,
        '2_b.sql': 'CREATE TABLE b (id int);',
      },
      async (project) => {
        const { child, ended } = start(project, project.url, 'migrate');
        // Within the block that heeds no cancel.
        await until('it sleeps', async () => {
          const [asleep] = await project.sql`SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event = 'PgSleep'`;
          return asleep !== undefined;
        });
        child.kill('SIGINT');
        await sleep(700);
        expect(child.exitCode).toBeNull();
        const pressed = performance.now();
        child.kill('SIGINT');
        const { code } = await ended;

        expect(code).toBe(130);
        expect(performance.now() - pressed).toBeLessThan(1000);
        const next = await start(project, project.url, 'migrate').ended;
        expect(next.code).toBe(0);
        expect(await project.versions()).toEqual(['1', '2']);
        expect(
          await project.sql`SELECT count(*)::int AS tables FROM pg_class WHERE relname IN ('deaf', 'b')`,
        ).toEqual([{ tables: 2 }]);
      },
    ),
  );

  it(
    'cancels on the server also with a role that may not',
    withProject({ '1_slow.sql': 'SELECT pg_sleep(30);' }, async (project) => {
      const deployer = await project.createUser();
      const owner = await project.createUser();
      await project.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${owner.name}; GRANT ${owner.name} TO ${deployer.name}`,
      );
      const url = new URL(deployer.url);
      url.pathname = `/${project.name}`;

      const { child, ended } = start(project, url.href, 'migrate', '--role', owner.name);
      await untilRuns(project, 'pg_sleep(30)');
      const pressed = performance.now();
      child.kill('SIGINT');

      expect((await ended).code).toBe(130);
      expect(performance.now() - pressed).toBeLessThan(3000);
      expect(
        await project.sql`SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()`,
      ).toHaveLength(0);
    }),
  );
});
