import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { targetOf } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { hasPgBouncer, withPooler } from '../helpers/pgbouncer.ts';
import { until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';
import {
  counting,
  numbers,
  runsOf,
  sleepers,
  startRunner,
  untilRecorded,
  untilSleeps,
} from '../helpers/runners.ts';

const poolSizes = [1, 5];

const inFolder = (project: Project, url: string) => ({ cwd: project.folder, env: { DATABASE_URL: url } });

describe.runIf(hasPgBouncer())('through PgBouncer', () => {
  it.each(poolSizes)('with a pool of %i: notices it, says so once, and every command works', (poolSize) =>
    withProject(
      {
        '1_t.sql': '-- migrate:up\nCREATE TABLE t (id int, note text);\n-- migrate:down\nDROP TABLE t;',
        '2_copy.sql': '-- migrate:up\nCOPY t FROM stdin;\n1\ta\n2\tb\n\\.\n-- migrate:down\nDELETE FROM t;',
        '3_module.ts': `export async function up(sql: any) {
            for (const id of [3, 4]) await sql\`INSERT INTO t VALUES (\${id}, \${'c'})\`;
            await sql\`INSERT INTO t SELECT * FROM unnest(\${sql.array([5, 6])}::int[], ARRAY['d', 'e'])\`;
          }
          export const down = (sql: any) => sql\`DELETE FROM t WHERE id > \${2}\`;`,
        '4_index.sql':
          '-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY t_id ON t (id);\nCREATE INDEX CONCURRENTLY t_note ON t (note);\nANALYZE t;\n-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY t_id;\nDROP INDEX CONCURRENTLY t_note;',
        '5_outside.ts':
          'export const transaction = false;\nexport const up = (sql: any) => sql`CREATE INDEX CONCURRENTLY t_2 ON t (id, note)`;\nexport const down = (sql: any) => sql`DROP INDEX CONCURRENTLY t_2`;',
        'repeatable/v.sql':
          '-- migrate:up requires:1\nCREATE OR REPLACE VIEW v AS SELECT id FROM t;\n-- migrate:down\nDROP VIEW v;',
      },
      async ({ folder: cwd, url, sql, versions }: Project) =>
        withPooler({ poolSize }, async (pooler) => {
          const run = (line: string) => eduschema(line, { cwd, env: { DATABASE_URL: pooler.urlOf(url) } });

          const dry = await run('migrate --dry-run');
          expect(dry.stderr).not.toContain('error');
          expect(dry.stdout).toContain('CREATE TABLE t');
          const first = await run('migrate');
          expect([first.exitCode, first.stderr]).toEqual([
            0,
            expect.stringMatching(/^[^\n]*pooler[^\n]*\n$/),
          ]);
          expect(await versions()).toEqual(['1', '2', '3', '4', '5']);
          expect(await sql`SELECT count(*)::int AS n FROM v`).toEqual([{ n: 6 }]);
          expect((await run('status --exit-code')).exitCode).toBe(0);
          expect((await run('verify --json')).json().summary).toMatchObject({ wrong: 0 });
          expect((await run('rollback --all --yes')).stderr).toMatch(/^[^\n]*pooler[^\n]*\n$/);
          expect(await versions()).toEqual([]);
          expect((await run('migrate --single-transaction --to 3')).exitCode).toBe(0);
          expect((await run('baseline 5')).exitCode).toBe(0);
          expect(await versions()).toEqual(['1', '2', '3', '4', '5']);
          expect(await sql`SELECT * FROM schema_versions_lease`).toEqual([]);
        }),
    )(),
  );

  it.each(poolSizes)('with a pool of %i: of two at once, each migration runs once', (poolSize) =>
    withProject(counting(19), (project) =>
      withPooler({ poolSize }, async (pooler) => {
        const url = pooler.urlOf(project.url);
        const both = await Promise.all([startRunner(project, url).ended, startRunner(project, url).ended]);

        expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
        expect(await runsOf(project)).toEqual(numbers(2, 20));
        expect(await project.versions()).toEqual(numbers(1, 20).map(String));
      }),
    )(),
  );

  it.each(poolSizes)(
    'with a pool of %i: one of two connects directly, and each migration runs once',
    (poolSize) =>
      withProject(counting(19), (project) =>
        withPooler({ poolSize }, async (pooler) => {
          const both = [startRunner(project, project.url), startRunner(project, pooler.urlOf(project.url))];
          const [direct, pooled] = await Promise.all(both.map(({ ended }) => ended));

          expect([direct?.exitCode, pooled?.exitCode]).toEqual([0, 0]);
          expect(direct?.stderr).not.toContain('a connection pooler stands');
          expect(pooled?.stderr).toContain('a connection pooler stands');
          expect(await runsOf(project)).toEqual(numbers(2, 20));
        }),
      )(),
  );

  it(
    'a runner that connects directly waits for one behind the pooler, and the other way round, each naming the other',
    withProject({ '1_slow.sql': 'SELECT pg_sleep(1);', '2_a.sql': 'SELECT 1;' }, (project) =>
      withPooler({}, async (pooler) => {
        const pooled = startRunner(project, pooler.urlOf(project.url));
        await until('the lease is taken', async () => {
          const rows = await project.sql`SELECT FROM schema_versions_lease`.catch(() => []);
          return rows.length === 1;
        });
        // The transaction is not there yet, or is over: the lease alone keeps others out.
        const refused = await eduschema('migrate --wait 0', {
          cwd: project.folder,
          env: { DATABASE_URL: project.url },
        });
        expect(refused.exitCode).toBe(2);
        expect(refused.stderr).toMatch(
          /another eduschema is at work: (process \d+ \(eduschema, user postgres, host .*through a pooler|pid \d+ \(eduschema migration)/,
        );
        expect((await pooled.ended).exitCode).toBe(0);

        project.write({ '3_slow.sql': 'SELECT pg_sleep(3);' });
        const direct = startRunner(project, project.url);
        await untilSleeps(project);
        const other = await eduschema('migrate --wait 0', {
          cwd: project.folder,
          env: { DATABASE_URL: pooler.urlOf(project.url) },
        });
        expect(other.stderr).toMatch(/another eduschema is at work: pid \d+ \(eduschema/);
        expect((await direct.ended).exitCode).toBe(0);
        expect(await project.versions()).toEqual(['1', '2', '3']);
      }),
    ),
  );

  it(
    'when a runner was killed, the next one waits until its lease expires, and goes on',
    withProject(counting(30, 0.05), (project) =>
      withPooler({}, async (pooler) => {
        const url = pooler.urlOf(project.url);
        const killed = startRunner(project, url);
        await untilRecorded(project, '5');
        killed.child.kill('SIGKILL');
        await killed.ended;
        await sleep(300);
        const next = await startRunner(project, url).ended;

        expect(next.exitCode).toBe(0);
        expect(next.stderr).toMatch(/waiting for another eduschema: process \d+ .*last heard of \d+ s ago/);
        expect(await runsOf(project)).toEqual(numbers(2, 31));
      }),
    ),
  );

  const lossy = {
    sql: { '1_m.sql': 'CREATE TABLE m (id int); SELECT pg_sleep(1.5);' },
    module: {
      '1_m.ts':
        'export const up = async (sql: any) => { await sql`CREATE TABLE m (id int)`; await new Promise((done) => setTimeout(done, 1500)); };',
    },
    outside: {
      '1_m.sql': '-- migrate:up transaction:false\nSELECT pg_sleep(1.5);\nCREATE TABLE m (id int);',
    },
  };
  it.each([
    ['SQL', lossy.sql, 'migrate'],
    ['TypeScript', lossy.module, 'migrate'],
    ['a single transaction', { ...lossy.sql, '2_n.sql': 'SELECT 1;' }, 'migrate --single-transaction'],
    ['statements outside a transaction', lossy.outside, 'migrate'],
  ])('%s under way when the lease is lost is not recorded, and leaves nothing', (_, files, line) =>
    withProject(files, (project) =>
      withPooler({}, async (pooler) => {
        const runner = startRunner(project, pooler.urlOf(project.url), line);
        await until('the migration is under way', async () => {
          const found = await project.sql`SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'eduschema migration%' AND query ~ 'pg_sleep|CREATE TABLE' AND pid <> pg_backend_pid()`;
          return found.length > 0;
        });
        await project.sql`UPDATE schema_versions_lease SET token = 'another', expires_at = clock_timestamp() + interval '1 min'`;
        const { exitCode, stderr } = await runner.ended;

        expect([exitCode, stderr]).toEqual([2, expect.stringContaining('another eduschema has taken over')]);
        expect(await project.versions()).toEqual([]);
        expect(await project.sql`SELECT to_regclass('m') AS m`).toEqual([{ m: null }]);
        // What is another's stays.
        expect(await project.sql`SELECT token FROM schema_versions_lease`).toEqual([{ token: 'another' }]);
      }),
    )(),
  );

  it(
    'leaves no setting, role or temporary table in the session it was lent, and starts without those of others',
    withProject({}, (project) =>
      withPooler({ poolSize: 1 }, async (pooler) => {
        const owner = await project.createUser();
        await project.sql.unsafe(
          `GRANT CREATE ON DATABASE ${project.name} TO ${owner.name}; GRANT CREATE ON SCHEMA public TO ${owner.name}`,
        );
        project.write({
          '1_t.sql': `CREATE TABLE t (id int);
            CREATE TEMP TABLE shadow (id int);
            SET search_path = pg_catalog; SET statement_timeout = '7s'; SET client_encoding = 'LATIN1'; SET SESSION AUTHORIZATION ${owner.name};`,
          '2_u.sql': 'CREATE TABLE u (id int); INSERT INTO t VALUES (1);',
          '3_v.ts':
            'export const up = (sql: any) => sql.unsafe("CREATE TABLE v (id int); SET search_path = pg_catalog; SET statement_timeout = \'7s\'");',
        });
        const { default: postgres } = await import('postgres');
        const through = () =>
          postgres(pooler.urlOf(project.url), { max: 1, prepare: false, onnotice: () => {} });
        const before = through();
        await before.unsafe(
          `SET search_path = pg_catalog; SET lock_timeout = '9s'; SET ROLE ${owner.name}; SET default_transaction_isolation = serializable`,
        );
        await before.unsafe('CREATE TEMP TABLE t (wrong int)');
        await before.end();

        const { exitCode, stderr } = await eduschema(['migrate', '--schema', 'app', '--role', owner.name], {
          cwd: project.folder,
          env: { DATABASE_URL: pooler.urlOf(project.url) },
        });

        expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining('error')]);
        const after = through();
        const [state] = await after`
          SELECT current_user = session_user AS own, current_setting('search_path') AS path,
                 current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
                 current_setting('client_encoding') AS encoding, current_setting('default_transaction_isolation') AS isolation,
                 (SELECT count(*)::int FROM pg_class WHERE relpersistence = 't') AS temporary,
                 (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
                 (SELECT count(*)::int FROM pg_prepared_statements) AS prepared`;
        await after.end();
        expect(state).toEqual({
          own: true,
          path: '"$user", public',
          statement: '0',
          lock: '0',
          encoding: 'UTF8',
          isolation: 'read committed',
          temporary: 0,
          locks: 0,
          prepared: 0,
        });
        const owners = await project.sql`SELECT relname, relowner::regrole::text AS owner FROM pg_class
          WHERE relnamespace = 'app'::regnamespace AND relkind = 'r' ORDER BY 1`;
        expect(owners.map(({ relname }) => relname)).toEqual([
          'schema_versions',
          'schema_versions_lease',
          't',
          'u',
          'v',
        ]);
        expect(new Set(owners.map((table) => table.owner))).toEqual(new Set([owner.name]));
      }),
    ),
  );

  it.each([
    ['--role', ['--role', 'postgres'], {}, 'role postgres'],
    ['--schema', ['--schema', 'app'], {}, 'schema app'],
    ['--statement-timeout', ['--statement-timeout', '1min'], {}, '--statement-timeout'],
    [
      'a timeout of the server',
      [],
      { timeout: "SET statement_timeout = '2min'" },
      'statement_timeout of 2min',
    ],
    [
      'a SET of its own',
      [],
      { '2_i.sql': '-- migrate:up transaction:false\nSELECT 1;\nSET work_mem = 64;' },
      'line 3',
    ],
  ] as [string, string[], Record<string, string>, string][])(
    'a migration outside a transaction that needs %s is refused before anything runs',
    (_, options, { timeout, ...files }, named) =>
      withProject(
        {
          '1_t.sql': 'CREATE TABLE t (id int);',
          '2_i.sql': '-- migrate:up transaction:false\nVACUUM;',
          ...files,
        },
        (project) =>
          withPooler({}, async (pooler) => {
            if (timeout) await project.sql.unsafe(`ALTER DATABASE ${project.name} ${timeout}`);
            const { exitCode, stderr } = await eduschema(['migrate', ...options], {
              cwd: project.folder,
              env: { DATABASE_URL: pooler.urlOf(project.url) },
            });

            expect(exitCode).toBe(2);
            expect(stderr).toMatch(/2_i runs outside a transaction/);
            expect(stderr).toContain(named);
            expect(stderr).toContain('connect to the server directly');
            expect(await project.sql`SELECT FROM pg_class WHERE relname = 't'`).toEqual([]);
          }),
      )(),
  );

  it('statement mode is refused, and shows what can be shown', () =>
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, (project) =>
      withPooler({ mode: 'statement' }, async (pooler) => {
        const surroundings = { cwd: project.folder, env: { DATABASE_URL: pooler.urlOf(project.url) } };
        const { exitCode, stderr } = await eduschema('migrate', surroundings);

        expect([exitCode, stderr]).toEqual([2, expect.stringContaining('the pooler is in statement mode')]);
        expect(stderr).toContain('hint: connect to the server directly');
        expect(await project.sql`SELECT to_regclass('t') AS t`).toEqual([{ t: null }]);
        expect((await eduschema('status', surroundings)).stdout).toContain('1 pending');
      }),
    )());

  it(
    'session mode works as well, and settings in the URL are refused with what to do',
    withProject({ '1_t.sql': 'CREATE TABLE t (id int);' }, (project) =>
      withPooler({ mode: 'session' }, async (pooler) => {
        const url = pooler.urlOf(project.url);
        const run = (to: string) => eduschema('migrate', { cwd: project.folder, env: { DATABASE_URL: to } });

        const refused = await run(`${url}?options=-c%20search_path%3Dapp`);
        expect(refused.stderr).toMatch(/the pooler at .* refused the connection: .*search_path/);
        expect((await run(url)).exitCode).toBe(0);
        expect(await project.versions()).toEqual(['1']);
      }),
    ),
  );

  it.each([
    [1, 'CREATE TABLE t (id int); SELECT pg_sleep(20);'],
    [5, 'CREATE TABLE t (id int); SELECT pg_sleep(20);'],
    [1, '-- migrate:up transaction:false\nSELECT pg_sleep(20);'],
    [5, '-- migrate:up transaction:false\nSELECT pg_sleep(20);'],
  ])('with a pool of %i: Ctrl-C cancels on the server (%s)', (poolSize, text) =>
    withProject({ '1_slow.sql': text }, (project) =>
      withPooler({ poolSize }, async (pooler) => {
        const runner = startRunner(project, pooler.urlOf(project.url));
        const sleeping = () =>
          project.sql`SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND state = 'active' AND pid <> pg_backend_pid() AND datname = current_database()`;
        await until('it sleeps', async () => (await sleeping()).length > 0);
        const asked = performance.now();
        runner.child.kill('SIGINT');
        const { exitCode, stderr } = await runner.ended;

        expect([exitCode, stderr]).toEqual([130, expect.stringContaining('interrupted: 0 of 1 done')]);
        expect(performance.now() - asked).toBeLessThan(5000);
        expect(await sleeping()).toEqual([]);
        expect(await project.sql`SELECT FROM schema_versions_lease`).toEqual([]);
      }),
    )(),
  );

  it(
    'names who is in the way of a lock',
    withProject(
      { '1_t.sql': 'CREATE TABLE t (id int);', '2_alter.sql': 'ALTER TABLE t ADD note text;' },
      (project) =>
        withPooler({}, async (pooler) => {
          const surroundings = { cwd: project.folder, env: { DATABASE_URL: pooler.urlOf(project.url) } };
          await eduschema('migrate --to 1', surroundings);
          await project.connect({ max: 1, connection: { application_name: 'shop' } }).begin(async (sql) => {
            await sql`SELECT FROM t`;
            const { stderr } = await eduschema('migrate --lock-deadline 5', surroundings);
            expect(stderr).toMatch(/waiting for a lock: pid \d+ \(shop/);
          });

          expect((await eduschema('migrate', surroundings)).exitCode).toBe(0);
        }),
    ),
  );

  const slow = {
    'in a transaction': 'INSERT INTO runs VALUES (2); SELECT pg_sleep(4);',
    'outside a transaction':
      '-- migrate:up transaction:false\nDO $$ BEGIN INSERT INTO runs VALUES (2); PERFORM pg_sleep(4); COMMIT; END $$;',
  };
  it.each(poolSizes.flatMap((size) => Object.keys(slow).map((where) => [size, where] as const)))(
    'with a pool of %i: a statement %s that takes longer than the lease keeps others out',
    (poolSize, where) =>
      withProject({ ...counting(4), '2_count.sql': slow[where as keyof typeof slow] }, (project) =>
        withPooler({ poolSize }, async (pooler) => {
          const url = pooler.urlOf(project.url);
          const pooled = startRunner(project, url);
          await untilSleeps(project);
          const direct = startRunner(project, project.url);
          await sleep(2700);
          expect((await eduschema('lock --json', inFolder(project, project.url))).json()).toMatchObject({
            rows: expect.arrayContaining([
              expect.objectContaining({ what: 'lease', user: 'postgres' }),
              expect.objectContaining({ what: 'worker', query: expect.stringContaining('pg_sleep') }),
            ]),
            summary: { state: 'held' },
          });

          const ends = await Promise.all([pooled.ended, direct.ended]);
          expect(ends.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
          expect(direct.stderr()).toContain('waiting for another eduschema');
          expect(await runsOf(project)).toEqual(numbers(2, 5));
        }),
      )(),
  );

  it.each(poolSizes)(
    'with a pool of %i: what a killed runner left under way outside a transaction is waited for',
    (poolSize) =>
      withProject({ ...counting(3), '2_count.sql': slow['outside a transaction'] }, (project) =>
        withPooler({ poolSize }, async (pooler) => {
          const killed = startRunner(project, pooler.urlOf(project.url));
          await untilSleeps(project);
          killed.child.kill('SIGKILL');
          const next = startRunner(project, project.url);
          await sleep(2500);
          expect(next.child.exitCode).toBe(null);
          expect(await sleepers(project)).toHaveLength(1);

          const { exitCode, stderr } = await next.ended;
          expect(await sleepers(project)).toEqual([]);
          // What cannot be judged is asked about, as after any crash.
          expect([exitCode, stderr]).toEqual([2, expect.stringContaining('--mark-done 1')]);
          expect((await eduschema('migrate --mark-done 1', inFolder(project, project.url))).exitCode).toBe(0);
          expect(await runsOf(project)).toEqual([2, 3, 4]);
        }),
      )(),
  );

  it(
    'in a database of another encoding, text stays what it is',
    withProject(
      {
        '1_a.sql': "CREATE TABLE a (t text); INSERT INTO a VALUES ('Größe');",
        '2_b.sql': "INSERT INTO a VALUES ('Maß');",
        '3_c.ts': "export const up = async (sql: any) => { await sql`INSERT INTO a VALUES ('Übung')`; };",
        '4_d.sql': "-- migrate:up transaction:false\nINSERT INTO a VALUES ('Äpfel');",
      },
      (project) =>
        withPooler({ poolSize: 1 }, async (pooler) => {
          const name = `${project.name}_latin1`;
          await project.sql.unsafe(
            `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
          );
          try {
            const url = pooler.urlOf(project.url.replace(project.name, name));
            const { exitCode, stderr } = await eduschema('migrate', inFolder(project, url));
            expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining('error')]);
            const sql = project.connect({ database: name, max: 1 });
            expect(await sql`SELECT t FROM a`).toEqual(
              ['Größe', 'Maß', 'Übung', 'Äpfel'].map((t) => ({ t })),
            );
            await sql.end();
          } finally {
            await pooler.stop();
            await project.sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
          }
        }),
    ),
  );

  it(
    'queries at once do not overtake each other: PgBouncer would lose the half of one',
    withProject({}, (project) =>
      withPooler({}, async (pooler) => {
        const answers = await project.open(
          ({ sql, pooled }) =>
            Promise.all(
              Array.from({ length: 100 }, async (_, index) => {
                const [row] =
                  index % 2 ? await sql`SELECT ${index}::int AS n` : await sql.unsafe(`SELECT ${index} AS n`);
                return pooled && row?.n;
              }),
            ),
          targetOf(pooler.urlOf(project.url)),
        );
        expect(answers).toEqual(numbers(0, 99));
      }),
    ),
  );
});
