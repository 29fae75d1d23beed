import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';
import { hasPgBouncer, startPgBouncer, withPooler } from '../helpers/pgbouncer.ts';
import { until } from '../helpers/process.ts';
import { withProject } from '../helpers/project.ts';
import { counting, numbers, runsOf, sleepers, startRunner, untilSleeps } from '../helpers/runners.ts';
import { startEmbedded } from '../helpers/server.ts';

const sleeps = (seconds: number) => `INSERT INTO runs VALUES (2); SELECT pg_sleep(${seconds});`;

describe.runIf(hasPgBouncer())('a runner behind PgBouncer', () => {
  it.each(['pooler', 'direct'])(
    'that was stopped in a transaction for longer than its lease finds that another (%s) has taken over',
    (other) =>
      withProject({ ...counting(4), '2_count.sql': sleeps(1) }, (project) =>
        withPooler({}, async (pooler) => {
          const pooled = pooler.urlOf(project.url);
          const stopped = startRunner(project, pooled);
          await untilSleeps(project);
          stopped.child.kill('SIGSTOP');
          const next = startRunner(project, other === 'pooler' ? pooled : project.url);
          const { exitCode } = await next.ended;
          expect([exitCode, await runsOf(project)]).toEqual([0, numbers(2, 5)]);
          stopped.child.kill('SIGCONT');
          const ended = await stopped.ended;

          expect([ended.exitCode, ended.stderr]).toEqual([
            2,
            expect.stringContaining('another eduschema has taken over'),
          ]);
          expect(await runsOf(project)).toEqual(numbers(2, 5));
          expect(await project.versions()).toEqual(numbers(1, 5).map(String));
          expect(await project.sql`SELECT FROM schema_versions_lease`).toEqual([]);
        }),
      )(),
  );

  it(
    'that was stopped outside a transaction writes nothing into the journal of statements afterwards',
    withProject(
      {
        ...counting(2),
        '2_count.sql': `-- migrate:up transaction:false
INSERT INTO runs VALUES (2);
DO $$ BEGIN INSERT INTO runs VALUES (20); PERFORM pg_sleep(1); COMMIT; END $$;
INSERT INTO runs VALUES (21);`,
      },
      (project) =>
        withPooler({}, async (pooler) => {
          const pooled = pooler.urlOf(project.url);
          const stopped = startRunner(project, pooled);
          await untilSleeps(project);
          stopped.child.kill('SIGSTOP');
          const next = await startRunner(project, pooled).ended;
          expect([next.exitCode, next.stderr]).toEqual([2, expect.stringContaining('--mark-done 2')]);
          expect(next.stderr).not.toContain('taken over');
          stopped.child.kill('SIGCONT');
          const ended = await stopped.ended;

          expect([ended.exitCode, ended.stderr]).toEqual([
            2,
            expect.stringContaining('another eduschema has taken over'),
          ]);
          const rows = await project.sql`SELECT ordinal, state FROM schema_versions_statements ORDER BY 1`;
          expect(rows).toEqual([
            { ordinal: 1, state: 'done' },
            { ordinal: 2, state: 'started' },
          ]);
          expect((await startRunner(project, pooled, 'migrate --mark-done 2').ended).exitCode).toBe(0);
          expect(await runsOf(project)).toEqual([2, 3, 20, 21]);
        }),
    ),
  );

  it(
    'that connects directly and was stopped keeps its turn, and goes on',
    withProject({ ...counting(3), '2_count.sql': sleeps(1) }, (project) =>
      withPooler({}, async (pooler) => {
        const stopped = startRunner(project, project.url);
        await untilSleeps(project);
        stopped.child.kill('SIGSTOP');
        const next = startRunner(project, pooler.urlOf(project.url));
        await sleep(3000);
        expect([next.child.exitCode, next.stderr()]).toEqual([
          null,
          expect.stringMatching(/waiting for another eduschema: pid \d+/),
        ]);
        stopped.child.kill('SIGCONT');

        expect((await stopped.ended).exitCode).toBe(0);
        expect((await next.ended).exitCode).toBe(0);
        expect(await runsOf(project)).toEqual(numbers(2, 4));
      }),
    ),
  );

  it.each([
    ['in a transaction', sleeps(2), 2],
    [
      'outside a transaction',
      '-- migrate:up transaction:false\nINSERT INTO runs VALUES (2);\nSELECT pg_sleep(2);\nVACUUM runs;',
      2,
    ],
  ])('whose pooler is killed %s leaves nothing undone that a rerun does not do', (_, slow) =>
    withProject({ ...counting(4), '2_count.sql': slow }, (project) =>
      withPooler({}, async (pooler) => {
        const pooled = pooler.urlOf(project.url);
        const first = startRunner(project, pooled);
        await untilSleeps(project);
        await pooler.crash();
        const { exitCode, stderr } = await first.ended;

        expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/connection/)]);
        expect(stderr).not.toContain('bug');
        expect(await project.versions()).toEqual(['1']);
        const both = await Promise.all([
          startRunner(project, pooled).ended,
          startRunner(project, project.url).ended,
        ]);
        expect(both.map((ended) => [ended.exitCode, ended.stderr.match(/error|bug/)])).toEqual([
          [0, null],
          [0, null],
        ]);
        expect(await runsOf(project)).toEqual(numbers(2, 5));
        expect(await project.versions()).toEqual(numbers(1, 5).map(String));
      }),
    )(),
  );

  it(
    'behind which the server crashes and comes back goes on with a rerun',
    () =>
      withFolder(
        Object.fromEntries(
          Object.entries({
            ...counting(4),
            '3_count.sql': 'INSERT INTO runs VALUES (3); SELECT pg_sleep(2);',
          }).map(([name, text]) => [`migrations/${name}`, text]),
        ),
        async (folder) => {
          const server = await startEmbedded();
          const pooler = await startPgBouncer({ server: server.url });
          const open = () => postgres(server.url, { max: 1, onnotice: () => {} });
          let sql = open();
          try {
            const url = pooler.urlOf(server.url);
            const first = startRunner({ folder }, url);
            await untilSleeps({ sql });
            const [{ pid }] = (await sleepers({ sql })) as unknown as [{ pid: number }];
            await sql.end();
            process.kill(pid, 'SIGKILL');
            const { exitCode, stderr } = await first.ended;
            expect([exitCode, stderr]).toEqual([2, expect.not.stringContaining('bug')]);

            sql = open();
            await until('the server is back', () => sql`SELECT 1`.then(() => true).catch(() => false));
            // PgBouncer waits a while before it connects again (server_login_retry).
            await until('a rerun goes on', async () => {
              const next = await startRunner({ folder }, url).ended;
              return next.exitCode === 0;
            });
            expect(await runsOf({ sql })).toEqual(numbers(2, 5));
          } finally {
            await sql.end({ timeout: 0 });
            await pooler.stop();
            await server.stop();
          }
        },
      ),
    60_000,
  );

  it(
    'that is killed in a transaction loses it, and the next one waits until its statement and its lease are over',
    withProject({ ...counting(3), '2_count.sql': sleeps(3) }, (project) =>
      withPooler({}, async (pooler) => {
        const pooled = pooler.urlOf(project.url);
        const killed = startRunner(project, pooled);
        await untilSleeps(project);
        killed.child.kill('SIGKILL');
        await killed.ended;
        const next = await startRunner(project, pooled).ended;

        expect([next.exitCode, next.stderr]).toEqual([
          0,
          expect.stringContaining('waiting for another eduschema'),
        ]);
        expect(await runsOf(project)).toEqual(numbers(2, 4));
      }),
    ),
  );

  it(
    'is shown by lock when it is silent in its transaction, and lock break ends what it left',
    withProject({ ...counting(3), '2_count.sql': sleeps(0.5) }, (project) =>
      withPooler({}, async (pooler) => {
        const stopped = startRunner(project, pooler.urlOf(project.url));
        await untilSleeps(project);
        stopped.child.kill('SIGSTOP');
        const lock = (line: string) =>
          eduschema(line, { cwd: project.folder, env: { DATABASE_URL: project.url } });
        expect((await lock('lock break --yes')).exitCode).toBe(2);
        await until(
          'its lease has expired',
          async () => (await lock('lock --json')).json().summary.state === 'expired',
        );
        const asked = await lock('lock break');
        expect([asked.exitCode, asked.stderr]).toEqual([2, expect.stringContaining('idle in transaction')]);
        const broken = await lock('lock break --yes');
        expect([broken.exitCode, broken.stdout]).toEqual([0, expect.stringContaining('removed the lease')]);
        expect((await lock('lock --json')).json().summary).toEqual({ state: 'free' });
        stopped.child.kill('SIGCONT');

        expect((await stopped.ended).stderr).toContain('another eduschema has taken over');
        expect(await project.versions()).toEqual(['1']);
        expect((await lock('migrate')).exitCode).toBe(0);
        expect(await runsOf(project)).toEqual(numbers(2, 4));
      }),
    ),
  );
});
