import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Lease, takeLease } from '../../src/migrations/lease.ts';
import { prepareLeaseTable } from '../../src/migrations/lease-table.ts';
import { breakLock } from '../../src/migrations/lock.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { startProcess, until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = {
  '1_runs.sql': 'CREATE TABLE runs (n int);',
  '2_slow.sql': 'INSERT INTO runs VALUES (2); SELECT pg_sleep(2);',
  '3_last.sql': 'INSERT INTO runs VALUES (3);',
};

const start = (project: Project) => startProcess('migrate', project.folder, { DATABASE_URL: project.url });

const run = (project: Project, line: string, more: { url?: string; answer?: string } = {}) =>
  eduschema(line, {
    cwd: project.folder,
    env: { DATABASE_URL: more.url ?? project.url },
    ...(more.answer === undefined ? {} : { answer: more.answer }),
  });

const sleepers = ({ sql }: Project) => sql<{ pid: number }[]>`
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'active' AND query ~ 'pg_sleep' AND pid <> pg_backend_pid()`;

const sleeps = (project: Project) =>
  until('the migration sleeps', async () => (await sleepers(project)).length > 0);

const runners = ({ sql }: Project) => sql<{ pid: number }[]>`
  SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'eduschema'`;

/** A runner that is killed, and whose session sleeps on in the server. */
async function orphan(project: Project): Promise<number> {
  const killed = start(project);
  await sleeps(project);
  killed.child.kill('SIGKILL');
  await killed.ended;
  await until('its turn is free', async () => (await runners(project)).length === 0);
  const [{ pid }] = (await sleepers(project)) as unknown as [{ pid: number }];
  return pid;
}

const long = { ...files, '2_slow.sql': 'INSERT INTO runs VALUES (2); SELECT pg_sleep(60);' };

describe('lock', () => {
  it(
    'says that nobody is at work, and creates nothing',
    withProject({}, async (project) => {
      const { exitCode, stdout } = await run(project, 'lock');

      expect([exitCode, stdout]).toEqual([0, expect.stringContaining('nobody is at work')]);
      expect((await run(project, 'lock --json')).json()).toMatchObject({
        rows: [],
        summary: { state: 'free' },
      });
      const broken = await run(project, 'lock break');
      expect([broken.exitCode, broken.stdout]).toEqual([0, expect.stringContaining('nothing to break')]);
      expect(await project.sql`SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace`).toEqual([]);
    }),
  );

  it(
    'shows who is at work and what it runs, and break leaves it alone',
    withProject(files, async (project) => {
      const running = start(project);
      await sleeps(project);
      const [{ pid: worker }] = (await sleepers(project)) as unknown as [{ pid: number }];
      const [{ pid: runner }] = (await runners(project)) as unknown as [{ pid: number }];

      const { exitCode, stdout } = await run(project, 'lock');
      expect(exitCode).toBe(0);
      expect(stdout).toMatch(
        /at work: pid \d+ \(eduschema, user postgres, host 127\.0\.0\.1, since .*Z\); it has been running for \d s: .*pg_sleep/,
      );
      const { rows, summary } = (await run(project, 'lock --json')).json();
      expect(summary).toEqual({ state: 'held' });
      expect(rows).toMatchObject([
        { what: 'runner', pid: runner },
        { what: 'worker', pid: worker, state: 'active', application: 'eduschema migration' },
      ]);
      const refused = await run(project, 'lock break --yes --json');
      expect(refused.exitCode).toBe(2);
      expect(refused.json().error).toMatchObject({
        code: 'lock-held',
        message: expect.stringContaining(`a runner is at work: pid ${runner}`),
        hint: expect.stringContaining(`pg_terminate_backend(${worker})`),
      });
      expect((await running.ended).exitCode).toBe(0);
      expect(await project.versions()).toEqual(['1', '2', '3']);
    }),
  );

  it(
    'break ends the session of a runner that was killed, when that is confirmed',
    withProject(long, async (project) => {
      const pid = await orphan(project);

      const seen = await run(project, 'lock');
      expect([seen.exitCode, seen.stdout]).toEqual([
        0,
        expect.stringContaining('the runner is gone, and its session works on'),
      ]);
      expect(seen.stdout).toContain(`pid ${pid} (eduschema migration`);
      const waiting = await run(project, 'migrate --wait 0');
      expect(waiting.stderr).toContain(`another eduschema is at work: pid ${pid}`);
      const alone = await run(project, 'lock break');
      expect([alone.exitCode, alone.stderr]).toEqual([2, expect.stringContaining('add --yes')]);
      const no = await run(project, 'lock break', { answer: 'no' });
      expect([no.exitCode, no.stderr]).toEqual([2, expect.stringContaining('nothing was changed')]);
      expect(await sleepers(project)).toHaveLength(1);

      const yes = await run(project, 'lock break', { answer: 'yes' });
      expect([yes.exitCode, yes.stdout]).toEqual([0, expect.stringContaining(`ended pid ${pid}`)]);
      expect(yes.stderr).toMatch(
        /Its runner is gone, and this works on: pid \d+ .*has been running for \d+ s: .*pg_sleep/,
      );
      expect(await sleepers(project)).toEqual([]);
      expect(await project.sql`SELECT FROM runs`).toEqual([]);
      project.write({ '2_slow.sql': 'INSERT INTO runs VALUES (2);' });
      expect((await run(project, 'migrate')).exitCode).toBe(0);
      expect(await project.sql`SELECT n FROM runs ORDER BY n`).toEqual([{ n: 2 }, { n: 3 }]);
    }),
  );

  it(
    'break looks again after the answer: a session that ended is nothing, a new runner is left alone',
    withProject(long, async (project) => {
      await orphan(project);
      const ends = await project.open((database) =>
        breakLock(database, project.settings, async ({ pid }) => {
          await project.sql`SELECT pg_terminate_backend(${pid})`;
          await until('it has ended', async () => (await sleepers(project)).length === 0);
        }),
      );
      expect(ends.what).toBe('nothing');

      await orphan(project);
      let running: ReturnType<typeof start> | undefined;
      const taken = project.open((database) =>
        breakLock(database, project.settings, async ({ pid }) => {
          await project.sql`SELECT pg_terminate_backend(${pid})`;
          await until('it has ended', async () => (await sleepers(project)).length === 0);
          running = start(project);
          await sleeps(project);
        }),
      );
      await expect(taken).rejects.toMatchObject({ code: 'lock-held' });
      expect(await sleepers(project)).toHaveLength(1);
      running?.child.kill('SIGINT');
      await running?.ended;
    }),
  );

  it(
    'shows a user without rights what it may, and break says which are missing',
    withProject(long, async (project) => {
      const pid = await orphan(project);
      const { url } = await project.createUser();

      expect((await run(project, 'lock', { url })).stdout).toContain(`pid ${pid}`);
      const { exitCode, stderr } = await run(project, 'lock break --yes', { url });
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining('pg_read_all_stats')]);
      expect(await sleepers(project)).toHaveLength(1);
      await run(project, 'lock break --yes');
    }),
  );

  it(
    'shows a lease with its age, break leaves it alone as long as it holds, and removes it then',
    withProject({}, async (project) => {
      await project.open(async ({ sql }) => {
        await prepareLeaseTable(sql, project.settings.journal);
        const lease = (await takeLease(sql, project.settings.journal, 1.5)) as Lease;
        expect(await takeLease(sql, project.settings.journal, 1.5)).toBeUndefined();

        const held = await run(project, 'lock');
        expect(held.stdout).toMatch(
          new RegExp(
            `at work: process ${process.pid} \\(eduschema, user postgres, host .*, last heard of \\d s ago\\)`,
          ),
        );
        const refused = await run(project, 'lock break --yes');
        expect([refused.exitCode, refused.stderr]).toEqual([
          2,
          expect.stringMatching(/a runner is at work: process .*nothing was broken/),
        ]);
        expect(await lease.isOurs()).toBe(true);

        await sleep(1600);
        expect((await run(project, 'lock --json')).json()).toMatchObject({
          rows: [{ what: 'lease', process: process.pid, state: 'expired' }],
          summary: { state: 'expired' },
        });
        const broken = await run(project, 'lock break');
        expect([broken.exitCode, broken.stdout]).toEqual([
          0,
          expect.stringMatching(/removed the lease of process \d+/),
        ]);
        expect(await lease.isOurs()).toBe(false);
        await expect(sql.unsafe(lease.fence)).rejects.toThrow('the turn is lost');
      });
    }),
  );
});
