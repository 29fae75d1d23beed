import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/index.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { hasPgBouncer, startPgBouncer } from '../helpers/pgbouncer.ts';
import { startProcess, until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = {
  '1_seen.sql': 'CREATE TABLE seen (what text, at serial);',
  '2_b.sql': "INSERT INTO seen VALUES ('2_b');",
};
const note = (what: string) => `INSERT INTO seen VALUES ('${what}')`;

const configure = ({ folder }: Project, text: string, name = 'eduschema.config.ts') =>
  writeFileSync(join(folder, name), text);

/** Runs a command line in the project's folder. */
const run = ({ folder: cwd, url }: Project, line: string, at = url) =>
  eduschema(line, { cwd, env: { DATABASE_URL: at } });

const start = ({ folder, url }: Project, at = url) => startProcess('migrate', folder, { DATABASE_URL: at });

const seenBy = async ({ sql }: Project) =>
  (await sql<{ what: string }[]>`SELECT what FROM seen ORDER BY at`).map(({ what }) => what);

const untilSleeps = ({ sql }: Project) =>
  until('a hook sleeps', async () => {
    const found = await sql`
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
    return found.length > 0;
  });

const summaryOf = (stdout: string) =>
  stdout
    .split('\n\n')
    .at(-1)
    ?.replace(/\d+ ms/g, 'N ms');

describe('hooks in the configuration', () => {
  it(
    'run around what is pending, and are named in the result and in the events',
    withProject(files, async (project) => {
      configure(
        project,
        `import type { Config } from 'eduschema';
         export default {
           hooks: {
             before: (_, { migrations, log }) => log(\`before \${migrations.length}\`),
             after: ['${note('after').replaceAll("'", "\\'")}', async (sql, { when }) => { await sql\`INSERT INTO seen VALUES (\${when})\`; }],
           },
         } satisfies Config;`,
      );

      const shown = await run(project, 'migrate -v');
      expect([shown.exitCode, shown.stderr]).toEqual([0, expect.stringContaining('before 2\n')]);
      expect(shown.stderr).toMatch(/^hooks = before, after \(.*eduschema\.config\.ts\)$/m);
      expect(summaryOf(shown.stdout)).toBe(
        '2 migrations applied in N ms; the current version is 2\nhooks run: before hook (N ms), after hook 1 (N ms), after hook 2 (N ms)\n',
      );
      expect((await run(project, 'migrate')).stdout).toBe('nothing to do; the current version is 2\n');

      project.write({ '3_c.sql': note('3_c') });
      const { stderr, json } = await run(project, 'migrate --json');
      const events = stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(events.map(({ event, name, message }) => `${event} ${name ?? message}`)).toEqual([
        'started before hook',
        'log before 1',
        'done before hook',
        'started 3_c',
        'done 3_c',
        'started after hook 1',
        'done after hook 1',
        'started after hook 2',
        'done after hook 2',
      ]);
      expect(json()).toMatchObject({
        rows: [{ name: '3_c' }],
        summary: {
          applied: 1,
          hooks: [{ name: 'before hook' }, { name: 'after hook 1' }, { name: 'after hook 2' }],
        },
      });
      expect(await seenBy(project)).toEqual(['2_b', 'after', 'after', '3_c', 'after', 'after']);
    }),
  );

  it(
    'an after hook that fails says what stays and what runs it, and so does status',
    withProject(files, async (project) => {
      configure(
        project,
        JSON.stringify({ hooks: { after: 'GRANT SELECT ON seen\n  TO no_such_role' } }),
        'eduschema.config.json',
      );

      const failed = await run(project, 'migrate');

      expect([failed.exitCode, failed.stdout]).toEqual([2, '']);
      expect(failed.stderr).toBe(
        [
          'after hook failed at line 1 of hooks.after (42704)',
          '  role "no_such_role" does not exist',
          '',
          '  1 | GRANT SELECT ON seen',
          '    | ^',
          '',
          'the 2 migrations of this run stay; 2 is the current version',
          'the after hook is due: the next eduschema migrate runs it, also when nothing is pending',
          'hint: fix the hook and run eduschema migrate again',
          '',
        ].join('\n'),
      );
      const due = await run(project, 'status');
      expect(due.stdout).toMatch(
        /; the current version is 2\nthe after hook is due since [\d-]+T[\d:]+Z: eduschema migrate runs it\n$/,
      );
      expect((await run(project, 'status --exit-code')).exitCode).toBe(1);
      expect((await run(project, 'status --json')).json().summary).toMatchObject({
        pending: 0,
        afterHookDueSince: expect.stringMatching(/Z$/),
      });
      expect((await run(project, 'migrate --json')).json().error).toMatchObject({
        code: 'hook-failed',
        details: { hook: 'after', sqlstate: '42704' },
      });

      configure(project, JSON.stringify({ hooks: { after: note('after') } }), 'eduschema.config.json');
      const { exitCode, stdout } = await run(project, 'migrate');
      expect([exitCode, summaryOf(stdout)]).toEqual([
        0,
        'no migration was pending; the current version is 2\nhooks run: after hook (N ms)\n',
      ]);
      expect((await run(project, 'status --exit-code')).exitCode).toBe(0);
      expect(await seenBy(project)).toEqual(['2_b', 'after']);
    }),
  );

  it(
    'a function that throws is found in the configuration, by its line',
    withProject(files, async (project) => {
      configure(
        project,
        "export default {\n  hooks: {\n    before: async () => {\n      throw new Error('not on a Friday');\n    },\n  },\n};",
      );

      const { exitCode, stderr } = await run(project, 'migrate');

      expect(exitCode).toBe(2);
      expect(stderr).toBe(
        'before hook failed at line 4 of eduschema.config.ts\n  not on a Friday\n\nnothing was applied; no version is applied\nhint: fix the hook and run eduschema migrate again\n',
      );
    }),
  );

  it.each([
    [
      'a hook that is not known',
      '{ "hooks": { "beforeEach": "SELECT 1" } }',
      '"hooks.beforeEach" is not known',
    ],
    ['a hook that is a number', '{ "hooks": { "before": 1 } }', '"hooks.before" must be SQL or a function'],
    ['hooks that are a list', '{ "hooks": ["SELECT 1"] }', '"hooks" must be an object'],
  ])('%s is refused by every command', (_, config, message) =>
    withProject(files, async (project) => {
      configure(project, config, 'eduschema.config.json');

      for (const line of ['migrate', 'status']) {
        const { exitCode, stderr } = await run(project, line);
        expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
      }
    })(),
  );

  it(
    'the API takes them too',
    withProject(files, async (project) => {
      const { hooks } = await migrate({
        url: project.url,
        directory: project.settings.directory,
        hooks: { after: async (sql) => void (await sql`INSERT INTO seen VALUES ('after')`) },
      });

      expect(hooks).toEqual([{ name: 'after hook', durationMs: expect.any(Number) }]);
      expect(await seenBy(project)).toEqual(['2_b', 'after']);
    }),
  );
});

describe('an after hook under way', () => {
  const slow = `export default { hooks: { after: ["${note('after')}", 'SELECT pg_sleep(1)'] } };`;

  it.each(['SIGKILL', 'SIGINT'] as const)('that gets a %s is run by the next migrate, once', (signal) =>
    withProject(files, async (project) => {
      configure(project, slow);
      const { child, ended } = start(project);
      await untilSleeps(project);
      child.kill(signal);
      const { exitCode, stderr } = await ended;
      if (signal === 'SIGINT') {
        expect(exitCode).toBe(130);
        expect(stderr).toBe(
          'interrupted: 2 of 2 done; the after hook has not run; 2 is the current version\nhint: run eduschema migrate again to go on\n',
        );
      }
      // The server notices the death of a client when it answers.
      expect((await run(project, 'status --json')).json().summary.afterHookDueSince).toBeDefined();

      expect((await run(project, 'migrate')).exitCode).toBe(0);
      expect((await run(project, 'migrate')).stdout).toContain('nothing to do');
      expect(await seenBy(project)).toEqual(['2_b', 'after']);
    })(),
  );

  it(
    'is waited for by another runner, which has nothing to do then',
    withProject(files, async (project) => {
      configure(project, slow);
      const first = start(project);
      await untilSleeps(project);
      const second = start(project);

      expect((await first.ended).exitCode).toBe(0);
      expect(await second.ended).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('nothing to do'),
      });
      expect(await seenBy(project)).toEqual(['2_b', 'after']);
    }),
  );
});

describe.runIf(hasPgBouncer())('hooks through PgBouncer', () => {
  const hooks = `export default {
    hooks: {
      before: ["SET search_path = pg_catalog; CREATE TEMP TABLE shadow (id int); SELECT 1", (sql) => sql\`SELECT \${1}::int\`],
      after: ["CREATE TABLE kept AS SELECT current_user::text AS who, current_schema AS path", "SELECT pg_sleep(0.5)"],
    },
  };`;

  it.each([1, 5])(
    'with a pool of %i: have the role and the schema, and leave nothing in the session',
    (poolSize) =>
      withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
        const pooler = await startPgBouncer({ poolSize });
        try {
          const owner = await project.createUser();
          await project.sql.unsafe(
            `GRANT CREATE ON DATABASE ${project.name} TO ${owner.name}; GRANT CREATE ON SCHEMA public TO ${owner.name}`,
          );
          configure(project, hooks);
          const through = pooler.urlOf(project.url);

          const { exitCode, stderr } = await run(
            project,
            `migrate --schema app --role ${owner.name}`,
            through,
          );

          expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining('failed')]);
          expect(await project.sql`SELECT * FROM app.kept`).toEqual([{ who: owner.name, path: 'app' }]);
          expect(
            await project.sql`SELECT FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'`,
          ).toHaveLength(0);
          expect(await project.sql`SELECT * FROM app.schema_versions_hooks`).toEqual([]);
        } finally {
          await pooler.stop();
        }
      })(),
  );

  it(
    'a killed one is run by the next migrate, once',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, async (project) => {
      const pooler = await startPgBouncer();
      try {
        configure(project, hooks);
        const { child, ended } = startProcess('migrate', project.folder, {
          DATABASE_URL: pooler.urlOf(project.url),
          EDUSCHEMA_LEASE: '1',
        });
        await untilSleeps(project);
        child.kill('SIGKILL');
        await ended;
        await sleep(1500);

        const again = await run(project, 'migrate', pooler.urlOf(project.url));

        expect([again.exitCode, again.stdout]).toEqual([
          0,
          expect.stringContaining('no migration was pending'),
        ]);
        expect(await project.sql`SELECT path FROM kept`).toEqual([{ path: 'public' }]);
      } finally {
        await pooler.stop();
      }
    }),
  );
});
