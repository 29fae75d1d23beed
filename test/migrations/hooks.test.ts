import { describe, expect, it } from 'vitest';
import type { HookContext, Hooks } from '../../src/config.ts';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { splitSql } from '../../src/sql/split.ts';
import { openClient } from '../helpers/clients.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = {
  '1_t.sql': '-- migrate:up\nCREATE TABLE t (id int);\n-- migrate:down\nDROP TABLE t;',
  '2_log.sql': "INSERT INTO seen VALUES ('2_log');",
  'repeatable/v.sql': "CREATE OR REPLACE VIEW v AS SELECT 1 AS one; INSERT INTO seen VALUES ('v');",
};

/** Writes down that it was there. */
const note = (what: string) => `INSERT INTO seen VALUES ('${what}')`;
const both: Hooks = { before: `${note('before')};`, after: note('after') };

async function makeSeen({ sql }: Project): Promise<void> {
  await sql`CREATE TABLE seen (what text, at serial)`;
}

async function seenBy({ sql }: Project): Promise<string[]> {
  return (await sql<{ what: string }[]>`SELECT what FROM seen ORDER BY at`).map(({ what }) => what);
}

/** Since when the after hooks are due, as the journal of hooks has it. */
async function isDue({ sql }: Project): Promise<boolean> {
  const [found] = await sql`SELECT to_regclass('schema_versions_hooks') AS found`;
  return found?.found !== null && (await sql`SELECT FROM schema_versions_hooks`).length > 0;
}

const run = (project: Project, hooks: Hooks) => project.migrate({}, { hooks });

describe('hooks', () => {
  it(
    'run once around what is pending, and not when nothing is',
    withProject(files, async (project) => {
      await makeSeen(project);

      const first = await run(project, both);
      expect(await seenBy(project)).toEqual(['before', '2_log', 'v', 'after']);
      expect(first.hooks).toEqual([
        { name: 'before hook', durationMs: expect.any(Number) },
        { name: 'after hook', durationMs: expect.any(Number) },
      ]);
      expect(first.done).toHaveLength(3);
      expect(await isDue(project)).toBe(false);

      expect(await run(project, both)).toMatchObject({ done: [], hooks: [] });
      project.write({ '3_more.sql': note('3_more') });
      await run(project, both);
      expect((await seenBy(project)).slice(4)).toEqual(['before', '3_more', 'after']);
    }),
  );

  it(
    'do not run on a rollback',
    withProject({ '1_t.sql': files['1_t.sql'] }, async (project) => {
      await makeSeen(project);
      await project.migrate();

      expect((await project.rollback({}, { hooks: both })).hooks).toEqual([]);
      expect(await seenBy(project)).toEqual([]);
    }),
  );

  it(
    'create no table where there is no after hook',
    withProject({ '1_t.sql': files['1_t.sql'] }, async (project) => {
      await makeSeen(project);
      await run(project, { before: note('before') });

      expect(await seenBy(project)).toEqual(['before']);
      expect(await project.sql`SELECT to_regclass('schema_versions_hooks') AS hooks`).toEqual([
        { hooks: null },
      ]);
    }),
  );

  it(
    'may be functions, in the transaction, told what the run applies',
    withProject(files, async (project) => {
      await makeSeen(project);
      const told: HookContext[] = [];
      const events: MigrationEvent[] = [];
      const hooks: Hooks = {
        before: async (sql, context) => {
          told.push(context);
          await sql`INSERT INTO seen SELECT * FROM unnest(${sql.array(['a', 'b'])}::text[])`;
        },
        after: [
          async (sql, context) => {
            told.push(context);
            context.log(`${context.migrations.length} are done`);
            await sql`INSERT INTO seen VALUES ('after')`;
          },
          note('after as well'),
        ],
      };

      await project.migrate({}, { hooks, onProgress: (event) => events.push(event) });

      expect(await seenBy(project)).toEqual(['a', 'b', '2_log', 'v', 'after', 'after as well']);
      expect(told.map(({ when }) => when)).toEqual(['before', 'after']);
      for (const { migrations } of told)
        expect(migrations).toEqual([
          { name: '1_t', version: '1', description: 't', file: 'migrations/1_t.sql' },
          { name: '2_log', version: '2', description: 'log', file: 'migrations/2_log.sql' },
          { name: 'repeatable v', version: null, description: 'v', file: 'migrations/repeatable/v.sql' },
        ]);
      expect(events).toContainEqual({ type: 'log', message: '3 are done' });
      expect(events.flatMap((event) => (event.type === 'started' ? [event] : []))).toEqual([
        { type: 'started', name: 'before hook', index: 0, total: 1 },
        { type: 'started', name: '1_t', index: 0, total: 3 },
        { type: 'started', name: '2_log', index: 1, total: 3 },
        { type: 'started', name: 'repeatable v', index: 2, total: 3 },
        { type: 'started', name: 'after hook 1', index: 0, total: 2 },
        { type: 'started', name: 'after hook 2', index: 1, total: 2 },
      ]);
      expect(events.filter(({ type }) => type === 'done')).toHaveLength(6);
    }),
  );

  it(
    'have the role, the schema and the clean settings of a migration, each of them',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
      const owner = await project.createUser();
      await project.sql.unsafe(
        `CREATE SCHEMA app AUTHORIZATION ${owner.name}; GRANT ALL ON SCHEMA public TO ${owner.name}`,
      );
      const whoAmI = `DO $$ BEGIN RAISE NOTICE '% % %', current_user, current_schema, current_setting('work_mem'); END $$`;
      const events: MigrationEvent[] = [];

      await project.migrate(
        {},
        {
          role: owner.name,
          schema: 'app',
          hooks: { before: [`SET work_mem = 64; RESET ROLE; ${whoAmI}`, whoAmI], after: whoAmI },
          onProgress: (event) => events.push(event),
        },
      );

      const notices = events.flatMap((event) => (event.type === 'notice' ? [event.message] : []));
      expect(notices).toEqual(['postgres app 64kB', `${owner.name} app 4MB`, `${owner.name} app 4MB`]);
    }),
  );

  it(
    'read SQL as a migration does: files of the folder, placeholders, COPY data',
    withProject(
      { ...files, '_grants.sql': "INSERT INTO seen VALUES ('from a file');\nSELECT wrong;\n" },
      async (project) => {
        await makeSeen(project);
        const before = `-- migrate:up placeholders:true\nINSERT INTO seen VALUES ($(word));\nCOPY seen (what) FROM stdin;\ncopied\n\\.\n`;
        const hooks = { before, after: '\\i _grants.sql' };

        const error = await project.migrate({}, { hooks, placeholders: { word: "it's" } }).catch((e) => e);

        expect(error.message).toBe('after hook failed at line 2 of migrations/_grants.sql (42703)');
        expect(await seenBy(project)).toEqual(["it's", 'copied', '2_log', 'v']);
        project.write({ '_grants.sql': note('from a file') });
        await project.migrate({}, { hooks, placeholders: { word: 'x' } });
        expect((await seenBy(project)).slice(4)).toEqual(['from a file']);
      },
    ),
  );

  it(
    'are one transaction with all migrations where these are one',
    withProject(files, async (project) => {
      await makeSeen(project);
      const broken = { before: note('before'), after: 'SELECT wrong' };

      await expect(project.migrate({ singleTransaction: true }, { hooks: broken })).rejects.toMatchObject({
        code: 'hook-failed',
        excerpt: expect.stringMatching(/\n\nnothing was applied; no version is applied$/),
      });
      expect(await seenBy(project)).toEqual([]);
      expect(await isDue(project)).toBe(false);
      const { hooks } = await project.migrate({ singleTransaction: true }, { hooks: both });

      expect(hooks.map(({ name }) => name)).toEqual(['before hook', 'after hook']);
      expect(await seenBy(project)).toEqual(['before', '2_log', 'v', 'after']);
      expect(await isDue(project)).toBe(false);
    }),
  );

  it(
    'wait for locks as migrations do, and are then run again as a whole',
    withProject({ '1_t.sql': files['1_t.sql'] }, async (project) => {
      await makeSeen(project);
      await project.sql`CREATE TABLE busy (id int)`;
      const holder = await openClient(project, 'shop');
      await holder.begin('SELECT FROM busy');
      let calls = 0;

      const migrating = project.migrate(
        {},
        {
          hooks: {
            before: [
              note('before'),
              async (sql) => {
                if (++calls === 3) await holder.sql`COMMIT`;
                await sql`ALTER TABLE busy ADD note text`;
              },
            ],
          },
        },
      );

      expect((await migrating).hooks.map(({ name }) => name)).toEqual(['before hook 1', 'before hook 2']);
      expect(calls).toBe(3);
      expect(await seenBy(project)).toEqual(['before']);
    }),
  );

  it(
    'run once when ten runners come at once',
    withProject(files, async (project) => {
      await makeSeen(project);

      await Promise.all(Array.from({ length: 10 }, () => run(project, both)));

      expect(await seenBy(project)).toEqual(['before', '2_log', 'v', 'after']);
    }),
  );
});

describe('a before hook that fails', () => {
  it(
    'stops before any migration, and leaves nothing due',
    withProject(files, async (project) => {
      await makeSeen(project);
      const hooks = { before: [note('first'), 'SELECT 1;\nSELECT wrong'], after: note('after') };

      const error = await run(project, hooks).catch((thrown) => thrown);

      expect(error).toMatchObject({
        code: 'hook-failed',
        message: 'before hook 2 failed at line 2 of hooks.before[1] (42703)',
        hint: 'fix the hook and run eduschema migrate again',
        details: { hook: 'before', line: 2, statement: 'SELECT wrong', sqlstate: '42703' },
      });
      expect(error.excerpt).toBe(
        [
          '  column "wrong" does not exist',
          '',
          '  1 | SELECT 1;',
          '  2 | SELECT wrong',
          '    |        ^',
          '',
          'nothing was applied; no version is applied',
        ].join('\n'),
      );
      expect(await seenBy(project)).toEqual([]);
      expect(await project.versions()).toEqual([]);
      expect(await isDue(project)).toBe(false);

      await run(project, both);
      expect(await seenBy(project)).toEqual(['before', '2_log', 'v', 'after']);
    }),
  );

  it(
    'may say why, as a function',
    withProject(files, async (project) => {
      const hooks: Hooks = {
        before: (_, { migrations }) => {
          throw new Error(`not on a Friday: ${migrations.map(({ name }) => name).join(', ')}`);
        },
      };

      const error = await run(project, hooks).catch((thrown) => thrown);

      expect(error).toMatchObject({ code: 'hook-failed', message: 'before hook failed in hooks.before' });
      expect(error.excerpt).toBe(
        '  not on a Friday: 1_t, 2_log, repeatable v\n\nnothing was applied; no version is applied',
      );
    }),
  );

  it(
    'may neither end its transaction nor hide an error of it',
    withProject(files, async (project) => {
      await expect(run(project, { before: (sql) => sql.unsafe('COMMIT') })).rejects.toMatchObject({
        code: 'hook-failed',
        details: { reason: "COMMIT in code that runs in a transaction of eduschema's" },
      });
      await expect(
        run(project, { before: (sql) => sql`SELECT wrong`.catch(() => {}) }),
      ).rejects.toMatchObject({ code: 'hook-failed' });
      expect(await project.versions()).toEqual([]);
    }),
  );
});

describe('an after hook that fails', () => {
  it(
    'leaves the migrations, and is run by the next migrate with nothing pending, once',
    withProject(files, async (project) => {
      await makeSeen(project);
      const hooks = { after: [note('first'), 'GRANT SELECT ON t TO nobody_of_this_name'] };

      const error = await run(project, hooks).catch((thrown) => thrown);

      expect(error).toMatchObject({
        code: 'hook-failed',
        message: 'after hook 2 failed at line 1 of hooks.after[1] (42704)',
        details: { hook: 'after' },
      });
      expect(error.excerpt).toContain(
        '\n\nthe 3 migrations of this run stay; 2 is the current version\nthe after hook is due: the next eduschema migrate runs it, also when nothing is pending',
      );
      expect(await project.versions()).toEqual(['1', '2']);
      expect(await seenBy(project)).toEqual(['2_log', 'v']);
      expect(await isDue(project)).toBe(true);

      await expect(run(project, hooks)).rejects.toMatchObject({
        excerpt: expect.stringContaining('no migration was pending; 2 is the current version'),
      });
      const told: HookContext[] = [];
      const fixed: Hooks = {
        before: note('before'),
        after: [note('first'), (_, context) => told.push(context)],
      };
      const again = await run(project, fixed);

      expect(again).toMatchObject({ done: [], hooks: [{ name: 'after hook 1' }, { name: 'after hook 2' }] });
      expect(told.map(({ migrations }) => migrations)).toEqual([[]]);
      expect(await seenBy(project)).toEqual(['2_log', 'v', 'first']);
      expect(await run(project, fixed)).toMatchObject({ done: [], hooks: [] });
    }),
  );

  it(
    'is due as well when a migration fails, and runs when the rest is applied',
    withProject({ ...files, '3_bad.sql': 'SELECT wrong;' }, async (project) => {
      await makeSeen(project);

      await expect(run(project, both)).rejects.toMatchObject({ code: 'migration-failed' });
      expect(await seenBy(project)).toEqual(['before', '2_log']);
      expect(await isDue(project)).toBe(true);

      project.write({ '3_bad.sql': note('3') });
      await run(project, both);
      expect(await seenBy(project)).toEqual(['before', '2_log', 'before', '3', 'v', 'after']);
      expect(await isDue(project)).toBe(false);
    }),
  );

  it(
    'is not missed once it is no longer configured, nor by those who do not have it',
    withProject(files, async (project) => {
      await makeSeen(project);
      await expect(run(project, { after: 'SELECT wrong' })).rejects.toMatchObject({ code: 'hook-failed' });

      expect((await project.status()).afterHookDueSince).toBeUndefined();
      expect(await project.migrate()).toMatchObject({ done: [], hooks: [] });
      expect(await run(project, { after: [] })).toMatchObject({ done: [], hooks: [] });
    }),
  );

  it(
    'is not run twice when its session is ended before the commit, and not left out',
    withProject(files, async (project) => {
      await makeSeen(project);
      const hooks = { after: [note('after'), 'SELECT pg_terminate_backend(pg_backend_pid())'] };

      const error = await run(project, hooks).catch((thrown) => thrown);
      expect(error).toMatchObject({
        code: 'hook-failed',
        excerpt: expect.stringContaining('eduschema status says whether it is due still'),
      });
      expect(await isDue(project)).toBe(true);

      await run(project, { after: note('after') });
      expect(await seenBy(project)).toEqual(['2_log', 'v', 'after']);
    }),
  );

  it(
    'names the right that it lacks',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
      const owner = await project.createUser();
      await project.sql.unsafe(`GRANT ALL ON SCHEMA public TO ${owner.name}; CREATE TABLE alien (id int)`);

      await expect(
        project.migrate({}, { role: owner.name, hooks: { after: 'GRANT SELECT ON alien TO PUBLIC' } }),
      ).rejects.toMatchObject({
        code: 'hook-failed',
        message: 'after hook failed at line 1 of hooks.after (42501)',
        hint: 'use a role that has this right (--role), and run eduschema migrate again',
      });
    }),
  );

  it(
    'is told that VACUUM needs a migration',
    withProject({ '1_t.sql': files['1_t.sql'] }, async (project) => {
      await expect(run(project, { after: 'VACUUM' })).rejects.toMatchObject({
        code: 'hook-failed',
        hint: 'a hook runs in a transaction: put this into a migration that says transaction:false',
      });
      expect((await run(project, { after: 'ANALYZE' })).hooks).toHaveLength(1);
    }),
  );
});

describe('the script of a dry run', () => {
  it(
    'has the hooks, and does what a run does',
    withProject(files, async (project) => {
      await makeSeen(project);
      const hooks = { before: note('before'), after: [note('after'), 'ANALYZE seen'] };

      const { script = '' } = await project.migrate({ dryRun: true }, { hooks });
      expect(await seenBy(project)).toEqual([]);
      expect(script).toContain('-- before hook (hooks.before)\n');
      expect(script).toContain('-- after hook 2 (hooks.after[1])\n');
      await runScript(project, script);

      expect(await seenBy(project)).toEqual(['before', '2_log', 'v', 'after']);
      expect(await isDue(project)).toBe(false);
      expect((await project.migrate({ dryRun: true }, { hooks })).script).toBe('');
    }),
  );

  it(
    'has the hook that is due, and stops before a function',
    withProject(files, async (project) => {
      await makeSeen(project);
      await expect(run(project, { after: 'SELECT wrong' })).rejects.toMatchObject({ code: 'hook-failed' });

      const { script = '' } = await project.migrate({ dryRun: true }, { hooks: { after: note('after') } });
      await runScript(project, script);
      expect(await isDue(project)).toBe(false);
      expect((await seenBy(project)).at(-1)).toBe('after');

      project.write({ '3_more.sql': note('3') });
      const code = await project.migrate({ dryRun: true }, { hooks: { before: [note('x'), () => {}] } });
      expect(code.script).toContain(
        '\\warn before hook 2 is code, not SQL: run eduschema\n\\q\n\nDISCARD ALL;\nBEGIN;\n',
      );
      expect(code.script).toContain('-- before hook 2 (hooks.before[1])\n');
    }),
  );

  /** As psql would, one statement after the other. */
  async function runScript({ connect }: Project, script: string): Promise<void> {
    const sql = connect({ max: 1 });
    for (const { start, end } of splitSql(script).statements) await sql.unsafe(script.slice(start, end));
  }
});

describe('what is no hook', () => {
  const cases: [string, unknown, string][] = [
    ['an unknown name', { afterEach: 'SELECT 1' }, '"hooks.afterEach" is not known'],
    ['a number', { before: 7 }, '"hooks.before" must be SQL or a function, or a list of these'],
    ['a list with a hole', { before: ['SELECT 1', null] }, '"hooks.before" must be SQL'],
    ['hooks that are a text', 'SELECT 1', '"hooks" must be an object'],
    ['no statement', { after: ' -- nothing\n' }, 'hooks.after has no statement'],
    [
      'a path',
      { after: ['SELECT 1', 'hooks/after.sql'] },
      'hooks.after[1] is "hooks/after.sql": a hook is SQL',
    ],
    ['settings', { before: "SET work_mem = '1GB';" }, 'hooks.before changes settings alone'],
    ['COMMIT', { before: 'SELECT 1;\nCOMMIT;' }, 'COMMIT at line 2 of hooks.before'],
    [
      'no transaction',
      { after: '-- migrate:up transaction:false\nVACUUM;' },
      'hooks.after says transaction:false',
    ],
    [
      'a way down',
      { after: '-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;' },
      'hooks.after has a down section',
    ],
    [
      'a command of psql',
      { after: '\\connect other' },
      'the psql command \\connect at line 1 of hooks.after',
    ],
    ['a file that is not there', { after: '\\i none.sql' }, 'none.sql'],
  ];

  it.each(cases)('%s is refused before anything runs', (_, hooks, message) =>
    withProject({ '1_t.sql': files['1_t.sql'] }, async (project) => {
      await expect(project.migrate({}, { hooks: hooks as Hooks })).rejects.toMatchObject({
        code: expect.stringMatching(/-invalid$|-unreadable$/),
        message: expect.stringContaining(message),
      });
      expect(await project.sql`SELECT to_regclass('schema_versions') AS journal`).toEqual([
        { journal: null },
      ]);
    })(),
  );
});
