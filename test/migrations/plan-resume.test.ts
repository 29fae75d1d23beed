import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withDatabase } from '../../src/db/connect.ts';
import { migrate } from '../../src/migrations/migrate.ts';
import type { MigrationEvent, MigrationSettings } from '../../src/migrations/settings.ts';
import { openClient } from '../helpers/clients.ts';
import { targetOf } from '../helpers/database.ts';
import { hasPgBouncer, startPgBouncer } from '../helpers/pgbouncer.ts';
import { carryOut, differencesOf, fileOf, makePlan, readPlan, withNote } from '../helpers/plans.ts';
import { startProcess, until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';

const fails = {
  '1_t.sql': 'CREATE TABLE t (id int);',
  '2_more.sql': 'ALTER TABLE t ADD note text;',
  '3_ready.sql': 'CREATE TABLE u (); SELECT 1 / count(*) FROM t;',
  '4_last.sql': 'ALTER TABLE t ADD last text;',
};

/** Gives the third migration what it fails without. */
const makeReady = ({ sql }: Project) => sql`INSERT INTO t VALUES (1)`;

const alter = ({ sql }: Project) => sql`ALTER TABLE t ADD strange int`;

const failed = { code: 'migration-failed' };

function listening(): { said: string[]; settings: Partial<MigrationSettings> } {
  const said: string[] = [];
  const onProgress = (event: MigrationEvent) => {
    if (event.type === 'resumed') said.push(event.message);
  };
  return { said, settings: { onProgress } };
}

const runOf = async ({ sql }: Project) =>
  (await sql`SELECT state, done FROM schema_versions_plans`.catch(() => []))[0];

const start = (project: Project, url = project.url) =>
  startProcess('migrate --from-plan plan.json', project.folder, { DATABASE_URL: url, EDUSCHEMA_LEASE: '2' });

/** Kills the process, and waits for its sessions in the server. */
async function kill(project: Project, { child, ended }: ReturnType<typeof startProcess>): Promise<void> {
  child.kill('SIGKILL');
  await ended;
  await project.sql`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'eduschema%'`;
}

const names = ({ done }: { done: readonly { name: string }[] }) => done.map(({ name }) => name);

describe('a plan whose run failed', () => {
  it(
    'goes on where it stopped, and says so',
    withProject(fails, async (project) => {
      await makePlan(project);
      await expect(carryOut(project)).rejects.toMatchObject({
        ...failed,
        hint: 'if the file is wrong, fix it and make a plan for the rest (eduschema migrate --plan plan.json); else run eduschema migrate --from-plan plan.json again',
      });
      expect(await runOf(project)).toEqual({ state: 'stopped', done: 2 });
      await makeReady(project);
      const { said, settings } = listening();

      expect(names(await carryOut(project, {}, settings))).toEqual(['3_ready', '4_last']);
      expect(said).toEqual([expect.stringMatching(/^going on with plan\.json after 2 of 4; begun 2\S+Z$/)]);
      expect(await runOf(project)).toEqual({ state: 'finished', done: 4 });
    }),
  );

  it(
    'is refused when the schema was altered since, and only that is named; a plan for the rest is accepted',
    withProject(fails, async (project) => {
      await makePlan(project);
      await expect(carryOut(project)).rejects.toMatchObject(failed);
      await makeReady(project);
      await alter(project);

      expect(await differencesOf(carryOut(project))).toEqual(['new column public.t.strange']);
      await makePlan(project);
      expect(names(await carryOut(project))).toEqual(['3_ready', '4_last']);
    }),
  );

  it(
    'goes on once it is as it was again',
    withProject(fails, async (project) => {
      await makePlan(project);
      await expect(carryOut(project)).rejects.toMatchObject(failed);
      await makeReady(project);
      await alter(project);
      await expect(carryOut(project)).rejects.toMatchObject({ code: 'plan-differs' });
      await project.sql`ALTER TABLE t DROP strange`;

      expect(names(await carryOut(project))).toEqual(['3_ready', '4_last']);
    }),
  );

  it(
    'is refused when a file was fixed, done or not: the plan is not what it was agreed to',
    withProject(fails, async (project) => {
      await makePlan(project);
      await expect(carryOut(project)).rejects.toMatchObject(failed);
      project.write({ '3_ready.sql': 'CREATE TABLE u ();' });

      expect(await differencesOf(carryOut(project))).toEqual(['changed 3_ready: statement 2 is gone']);
      await makePlan(project);
      expect(names(await carryOut(project))).toEqual(['3_ready', '4_last']);
    }),
  );

  it(
    'is refused when somebody applied the next of its migrations, and does nothing when he applied all',
    withProject(fails, async (project) => {
      await makePlan(project);
      await expect(carryOut(project)).rejects.toMatchObject(failed);
      await makeReady(project);
      await project.migrate({ steps: 1 });

      expect(await differencesOf(carryOut(project))).toEqual([
        'new 3_ready: it was applied since, and not by this plan',
        'new table public.u',
      ]);
      await project.migrate();
      expect(await carryOut(project)).toMatchObject({ done: [], current: '4' });
    }),
  );

  it(
    'begins again after all of it was undone, and is refused after a part of it was',
    withProject(
      {
        '1_t.sql': '-- migrate:up\nCREATE TABLE t (id int);\n-- migrate:down\nDROP TABLE t;',
        '2_more.sql': '-- migrate:up\nCREATE TABLE u ();\n-- migrate:down\nDROP TABLE u;',
        '3_ready.sql': '-- migrate:up\nSELECT 1 / count(*) FROM t;',
      },
      async (project) => {
        await makePlan(project);
        await expect(carryOut(project)).rejects.toMatchObject(failed);

        await project.rollback({ steps: 1 });
        expect(await differencesOf(carryOut(project))).toEqual([
          'gone 2_more: it was rolled back since',
          'gone table public.u',
        ]);
        await project.rollback({ all: true });
        await expect(carryOut(project)).rejects.toMatchObject(failed);
        expect(await project.versions()).toEqual(['1', '2']);
      },
    ),
  );

  it(
    'knows repeatable migrations that it applied again, and those that it forgot',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int);',
        'repeatable/a.sql': 'CREATE OR REPLACE VIEW a AS SELECT 1 AS one;',
        'repeatable/old.sql': 'SELECT 1;',
      },
      async (project) => {
        await project.migrate();
        project.write({
          'repeatable/a.sql': 'CREATE OR REPLACE VIEW a AS SELECT 2 AS one;',
          'repeatable/b.sql': 'SELECT 1 / count(*) FROM t;',
        });
        await project.sql`DELETE FROM schema_versions_repeatable WHERE name = 'never'`;
        rmSync(`${project.settings.directory}/repeatable/old.sql`);
        await makePlan(project);
        expect(readPlan(project)).toMatchObject({ forgotten: ['old'] });
        await expect(carryOut(project)).rejects.toMatchObject(failed);
        await makeReady(project);

        expect(names(await carryOut(project))).toEqual(['repeatable b']);
      },
    ),
  );

  it(
    'in one transaction begins again from its beginning',
    withProject(fails, async (project) => {
      await makePlan(project, { singleTransaction: true });
      await expect(carryOut(project)).rejects.toMatchObject(failed);
      await expect(makeReady(project)).rejects.toThrow('does not exist');
      expect(await runOf(project)).toEqual({ state: 'stopped', done: 0 });

      await expect(carryOut(project)).rejects.toMatchObject(failed);
    }),
  );

  it(
    'outside a transaction goes on at its statement, and is refused when the schema was altered since',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1);',
        '2_index.sql':
          '-- migrate:up transaction:false\nALTER TABLE t ADD note text;\nCREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);',
      },
      async (project) => {
        await makePlan(project);
        await expect(carryOut(project)).rejects.toMatchObject(failed);
        await project.sql`DELETE FROM t WHERE ctid = '(0,1)'`;
        await alter(project);
        expect(await differencesOf(carryOut(project))).toEqual(['new column public.t.strange']);
        await project.sql`ALTER TABLE t DROP strange`;
        const { said, settings } = listening();

        expect(names(await carryOut(project, {}, settings))).toEqual(['2_index']);
        expect(said[1]).toMatch('going on with 2_index at statement 2 of 2');
      },
    ),
  );

  it(
    'with a statement in doubt asks, and takes the answer with the plan',
    withProject(
      {
        '1_archive.sql': `CREATE TABLE t (id int); CREATE PROCEDURE archive() LANGUAGE plpgsql AS
          'BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM 1 / 0; END';`,
        '2_call.sql': '-- migrate:up transaction:false\nCALL archive();',
      },
      async (project) => {
        await makePlan(project);
        await expect(carryOut(project)).rejects.toMatchObject(failed);

        await expect(carryOut(project)).rejects.toMatchObject({
          code: 'statement-unclear',
          hint: 'run eduschema migrate --from-plan plan.json again with one of the two',
          excerpt: expect.stringContaining('eduschema migrate --from-plan plan.json --mark-done 1\n'),
        });
        expect(names(await carryOut(project, { markDone: [1] }))).toEqual(['2_call']);
      },
    ),
  );

  it(
    'that was interrupted goes on',
    withProject({ ...fails, '3_ready.sql': 'SELECT pg_sleep(3);' }, async (project) => {
      await makePlan(project);
      const interruption = new AbortController();
      const running = carryOut(project, {}, { signal: interruption.signal });
      running.catch(() => {});
      await until('2 is noted', async () => (await runOf(project))?.done === 2);
      interruption.abort();

      await expect(running).rejects.toMatchObject({
        code: 'interrupted',
        hint: 'run eduschema migrate --from-plan plan.json again to go on',
      });
      expect(await runOf(project)).toEqual({ state: 'stopped', done: 2 });
      expect(names(await carryOut(project))).toEqual(['3_ready', '4_last']);
    }),
  );

  it(
    'for want of rights has changed nothing',
    withProject(fails, async (project) => {
      await makePlan(project);
      const user = await project.createUser();
      const refused = project.open(async (database) => {
        await migrate(database, project.settings, { fromPlan: fileOf(project) });
      }, user.target);

      await expect(refused).rejects.toMatchObject({ code: 'permission-denied' });
      expect(names(await carryOut(project).catch(() => ({ done: [] })))).toEqual([]);
      expect(await project.versions()).toEqual(['1', '2']);
    }),
  );
});

describe('a plan whose run cannot be noted', () => {
  it(
    'for a view that somebody locks is carried out all the same',
    withProject({ '1_wait.sql': 'SELECT pg_sleep(1);', '2_t.sql': 'CREATE TABLE t ();' }, async (project) => {
      await project.sql`CREATE VIEW locked AS SELECT 1 AS one`;
      await makePlan(project);
      const running = carryOut(project);
      await until('it is begun', async () => (await runOf(project)) !== undefined);
      const client = await openClient(project, 'in the way');
      await client.begin('LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');

      expect(names(await running)).toEqual(['1_wait', '2_t']);
      expect(await runOf(project)).toEqual({ state: 'running', done: 0 });
      await client.sql.unsafe('ROLLBACK');
      expect(await carryOut(project)).toMatchObject({ done: [], current: '2' });
    }),
  );
});

describe('a plan whose run was killed', () => {
  const slow = {
    ...fails,
    '3_ready.sql': 'CREATE TABLE u (); SELECT pg_sleep(5) WHERE EXISTS (SELECT FROM slow);',
  };

  /** Kills a run in the third migration, which then would not be slow again. */
  async function killInThird(project: Project): Promise<void> {
    await project.sql`CREATE TABLE slow AS SELECT 1 AS one`;
    await makePlan(project);
    const run = start(project);
    await until('2 is noted', async () => (await runOf(project))?.done === 2);
    await kill(project, run);
    await project.sql`DELETE FROM slow`;
    expect(await runOf(project)).toEqual({ state: 'running', done: 2 });
  }

  it(
    'in a migration goes on',
    withProject(slow, async (project) => {
      await killInThird(project);

      expect(names(await carryOut(project))).toEqual(['3_ready', '4_last']);
    }),
  );

  it(
    'in a migration is refused when the schema was altered since',
    withProject(slow, async (project) => {
      await killInThird(project);
      await alter(project);

      expect(await differencesOf(carryOut(project))).toEqual(['new column public.t.strange']);
    }),
  );

  it(
    'between a migration and its note goes on, and names what it lays to the migration',
    withProject(
      { ...slow, '2_more.sql': 'ALTER TABLE t ADD note text; SELECT pg_sleep(1);' },
      async (project) => {
        await project.sql`CREATE TABLE slow (one int)`;
        await makePlan(project);
        const run = start(project);
        await until('1 is noted', async () => (await runOf(project))?.done === 1);
        const client = await openClient(project, 'in the way');
        await client.begin('LOCK TABLE schema_versions_plans IN EXCLUSIVE MODE');
        await until('2 is recorded', async () => (await project.versions()).includes('2'));
        await sleep(300);
        await kill(project, run);
        await client.sql.unsafe('ROLLBACK');
        expect(await runOf(project)).toEqual({ state: 'running', done: 1 });
        const { said, settings } = listening();

        expect(names(await carryOut(project, {}, settings))).toEqual(['3_ready', '4_last']);
        expect(said).toEqual([
          expect.stringMatching(/^going on with plan\.json after 2 of 4/),
          'the last run was killed before it could note the schema; these are laid to 2_more:\n  new      column public.t.note',
        ]);
      },
    ),
  );

  it(
    'outside a transaction goes on, and names what it lays to the migration',
    withProject(
      {
        ...slow,
        '3_ready.sql':
          '-- migrate:up transaction:false\nCREATE TABLE u ();\nSELECT pg_sleep(5) WHERE EXISTS (SELECT FROM slow);',
      },
      async (project) => {
        await project.sql`CREATE TABLE slow AS SELECT 1 AS one`;
        await makePlan(project);
        const run = start(project);
        await until('it sleeps', async () => {
          const rows = await project.sql`SELECT FROM schema_versions_statements WHERE ordinal = 2`.catch(
            () => [],
          );
          return rows.length > 0;
        });
        await kill(project, run);
        await project.sql`DELETE FROM slow`;
        const { said, settings } = listening();

        expect(names(await carryOut(project, {}, settings))).toEqual(['3_ready', '4_last']);
        expect(said[1]).toBe(
          'the last run was killed before it could note the schema; these are laid to 3_ready:\n  new      table public.u',
        );
      },
    ),
  );

  it(
    'by the server, which ended its sessions, goes on',
    withProject(slow, async (project) => {
      await project.sql`CREATE TABLE slow AS SELECT 1 AS one`;
      await makePlan(project);
      const running = carryOut(project);
      running.catch(() => {});
      await until('2 is noted', async () => (await runOf(project))?.done === 2);
      await project.sql`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'eduschema%'`;
      await expect(running).rejects.toThrow();
      await project.sql`DELETE FROM slow`;

      expect(names(await carryOut(project))).toEqual(['3_ready', '4_last']);
    }),
  );
});

describe('hooks in a plan', () => {
  const before = 'CREATE TABLE IF NOT EXISTS runs (n int); INSERT INTO runs VALUES (1);';
  const hooks = { before, after: 'INSERT INTO runs VALUES (2);' };
  const runs = async ({ sql }: Project) => (await sql`SELECT n FROM runs ORDER BY ctid`).map(({ n }) => n);

  it(
    'stand in it, and a change of them is refused',
    withProject(fails, async (project) => {
      await makePlan(project, {}, { hooks });
      expect(readPlan(project).hooks).toMatchObject({
        before: [
          {
            name: 'before hook',
            statements: [
              { sql: expect.stringContaining('CREATE TABLE') },
              { sql: 'INSERT INTO runs VALUES (1)' },
            ],
          },
        ],
        after: [{ name: 'after hook', statements: [{ sql: 'INSERT INTO runs VALUES (2)' }] }],
      });

      const other = { before, after: 'INSERT INTO runs VALUES (3);' };
      expect(await differencesOf(carryOut(project, {}, { hooks: other }))).toEqual([
        'changed after hook: statement 1 at line 1 of hooks.after is another one',
      ]);
      expect(await differencesOf(carryOut(project, {}, {}))).toEqual([
        'gone before hook: there is no hooks.before to carry out',
        'gone after hook: there is no hooks.after to carry out',
      ]);
      const more = { before, after: [hooks.after, 'SELECT 1;'] };
      expect(await differencesOf(carryOut(project, {}, { hooks: more }))).toEqual([
        'new after hook 1: it is not in the plan',
        'new after hook 2: it is not in the plan',
        'gone after hook: there is no hooks.after to carry out',
      ]);
    }),
  );

  it(
    'that are functions are compared by their text',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
      const { warnings } = await makePlan(project, {}, { hooks: { after: async () => 1 } });
      expect(warnings).toEqual([
        'the after hook is a function: the plan has the checksum of its text, not its statements, nor what it calls',
      ]);

      expect(await differencesOf(carryOut(project, {}, { hooks: { after: async () => 2 } }))).toEqual([
        'changed after hook: hooks.after was edited',
      ]);
      expect(names(await carryOut(project, {}, { hooks: { after: async () => 1 } }))).toEqual(['1_t']);
    }),
  );

  it(
    'run with it, and again with the rest of it',
    withProject(fails, async (project) => {
      await makePlan(project, {}, { hooks });
      await expect(carryOut(project, {}, { hooks })).rejects.toMatchObject(failed);
      await makeReady(project);

      expect(await carryOut(project, {}, { hooks })).toMatchObject({
        done: [{ name: '3_ready' }, { name: '4_last' }],
        hooks: [{ name: 'before hook' }, { name: 'after hook' }],
      });
      expect(await runs(project)).toEqual([1, 1, 2]);
      expect(await carryOut(project, {}, { hooks })).toMatchObject({ done: [], hooks: [] });
    }),
  );

  it(
    'that failed after all migrations run when it is carried out again',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
      const failing = { after: 'SELECT 1 / count(*) FROM t;' };
      await makePlan(project, {}, { hooks: failing });
      await expect(carryOut(project, {}, { hooks: failing })).rejects.toMatchObject({
        code: 'hook-failed',
        hint: 'if the hook is wrong, fix it and make a plan for the rest (eduschema migrate --plan plan.json); else run eduschema migrate --from-plan plan.json again',
      });
      expect(await differencesOf(carryOut(project, {}, { hooks: { after: 'SELECT 1;' } }))).toEqual([
        'changed after hook: statement 1 at line 1 of hooks.after is another one',
      ]);
      await alter(project);
      expect(await differencesOf(carryOut(project, {}, { hooks: failing }))).toEqual([
        'new column public.t.strange',
      ]);
      await project.sql`ALTER TABLE t DROP strange`;
      await makeReady(project);

      expect(await carryOut(project, {}, { hooks: failing })).toMatchObject({
        done: [],
        hooks: [{ name: 'after hook' }],
      });
    }),
  );

  it(
    'before it may have run when it was killed: what differs is laid to them',
    withProject(fails, async (project) => {
      const slow = { before: `${before} SELECT pg_sleep(1);` };
      await makePlan(project, {}, { hooks: slow });
      const running = carryOut(project, {}, { hooks: slow });
      running.catch(() => {});
      await until('it is begun', async () => (await runOf(project))?.state === 'begun');
      const client = await openClient(project, 'in the way');
      await client.begin('LOCK TABLE schema_versions_plans IN EXCLUSIVE MODE');
      await until('the hook has run', async () => (await runs(project).catch(() => [])).length === 1);
      await project.sql`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'eduschema%'`;
      await expect(running).rejects.toThrow();
      await client.sql.unsafe('ROLLBACK');
      const { said, settings } = listening();

      await expect(carryOut(project, {}, { ...settings, hooks: slow })).rejects.toMatchObject(failed);
      expect(said[1]).toBe(
        'the last run was killed before it could note the schema; these are laid to before hook:\n  new      table public.runs',
      );
      expect(await project.versions()).toEqual(['1', '2']);
    }),
  );
});

describe('a plan that two carry out at once', () => {
  it(
    'is carried out once',
    withProject({ ...fails, '3_ready.sql': 'SELECT pg_sleep(0.5);' }, async (project) => {
      await makePlan(project);

      const both = await Promise.all([carryOut(project), carryOut(project)]);

      expect(both.flatMap(names).sort()).toEqual(['1_t', '2_more', '3_ready', '4_last']);
      expect(await runOf(project)).toEqual({ state: 'finished', done: 4 });
    }),
  );
});

describe.runIf(hasPgBouncer())('a plan through a pooler', () => {
  it.each([1, 5])('with a pool of %i is made, compared, carried out and gone on with', (poolSize) =>
    withProject(fails, async (project) => {
      const pooler = await startPgBouncer({ poolSize });
      try {
        const through = (options: Parameters<typeof migrate>[2], settings: Partial<MigrationSettings> = {}) =>
          project.open(
            (database) => migrate(database, { ...project.settings, ...withNote, ...settings }, options),
            targetOf(pooler.urlOf(project.url)),
          );
        const plan = fileOf(project);
        await through({ plan });
        await expect(through({ fromPlan: plan })).rejects.toMatchObject(failed);
        await makeReady(project);
        await alter(project);
        expect(await differencesOf(through({ fromPlan: plan }))).toEqual(['new column public.t.strange']);
        await project.sql`ALTER TABLE t DROP strange`;

        expect(names(await through({ fromPlan: plan }))).toEqual(['3_ready', '4_last']);
        expect(await runOf(project)).toEqual({ state: 'finished', done: 4 });
      } finally {
        await pooler.stop();
      }
    })(),
  );

  it(
    'with a role that does the work',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
      const pooler = await startPgBouncer({ poolSize: 1 });
      const owner = await project.createUser();
      await project.sql.unsafe(`GRANT CREATE ON SCHEMA public TO ${owner.name}`);
      try {
        const settings = { ...project.settings, role: owner.name };
        for (const options of [{ plan: fileOf(project) }, { fromPlan: fileOf(project) }])
          await withDatabase(targetOf(pooler.urlOf(project.url)), { role: owner.name }, (database) =>
            migrate(database, settings, options),
          );

        expect(
          await project.sql`SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`,
        ).toEqual(
          ['schema_versions', 'schema_versions_lease', 'schema_versions_plans', 't'].map((tablename) => ({
            tablename,
            tableowner: owner.name,
          })),
        );
        await project.sql.unsafe(`DROP OWNED BY ${owner.name} CASCADE`);
      } finally {
        await pooler.stop();
      }
    }),
  );
});
