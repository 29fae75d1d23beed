import { describe, expect, it } from 'vitest';
import type { MigrationEvent } from '../../src/migrations/settings.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { hasPgBouncer, startPgBouncer } from '../helpers/pgbouncer.ts';
import { type Project, withProject } from '../helpers/project.ts';

/** A role that may create things, and does not log in. */
async function createOwner({ sql, name, createUser }: Project): Promise<string> {
  const owner = await createUser();
  await sql.unsafe(
    `GRANT CREATE ON DATABASE ${name} TO ${owner.name}; GRANT ALL ON SCHEMA public TO ${owner.name}`,
  );
  return owner.name;
}

/** A role that the owner may give things to. */
async function createOther({ sql, createUser }: Project, owner: string): Promise<string> {
  const other = await createUser();
  await sql.unsafe(`GRANT ALL ON SCHEMA public TO ${other.name}; GRANT ${other.name} TO ${owner}`);
  return other.name;
}

/** What a run told of things that the role does not own: for whom, what, and the SQL that puts it right. */
async function migrateAs(project: Project, role: string, options = {}): Promise<string[][]> {
  const events: MigrationEvent[] = [];
  await project.migrate(options, { role, onProgress: (event) => events.push(event) });
  return events.flatMap((event) =>
    event.type === 'left' && event.leftover.kind === 'owned by another'
      ? [[event.name, event.leftover.object, event.leftover.remedy.replaceAll(role, 'owner')]]
      : [],
  );
}

const ownersOf = async ({ sql }: Project, schema = 'public') =>
  (
    await sql`SELECT relname, relowner::regrole::text AS owner FROM pg_class
      WHERE relnamespace = ${schema}::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1`
  ).map(({ relname, owner }) => `${relname} ${owner}`);

const everything = `
CREATE SCHEMA s;
CREATE TABLE s.t (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, "Ünique" text);
CREATE INDEX ON s.t (n);
CREATE TABLE s.p (id int) PARTITION BY RANGE (id);
CREATE TABLE s.p_1 PARTITION OF s.p FOR VALUES FROM (1) TO (9);
CREATE VIEW s."a view" AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS one;
CREATE SEQUENCE s.q;
CREATE TYPE s.mood AS ENUM ('low');
CREATE TYPE s.pair AS (a int, b int);
CREATE TYPE s.span AS RANGE (subtype = int4);
CREATE DOMAIN s.positive AS int CHECK (VALUE > 0);
CREATE FUNCTION s.f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE s.g() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE s.total(int) (SFUNC = int4pl, STYPE = int);
CREATE OPERATOR s.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE COLLATION s.c (provider = libc, locale = 'C');
CREATE STATISTICS s.st ON id, n FROM s.t;
CREATE TEXT SEARCH CONFIGURATION s.words (COPY = simple);
CREATE TEXT SEARCH DICTIONARY s.simple_one (TEMPLATE = simple);
CREATE TEMP TABLE gone (id int);`;

describe('--role', () => {
  it(
    'owns everything that is created, the journal included, and then nothing is told',
    withProject(
      {
        '1_all.sql': everything,
        '2_code.ts': 'export const up = (sql: any) => sql`CREATE TABLE code (id int)`;',
      },
      async (project) => {
        const owner = await createOwner(project);

        expect(await migrateAs(project, owner)).toEqual([]);

        expect(await ownersOf(project)).toEqual([`code ${owner}`, `schema_versions ${owner}`]);
        expect(new Set((await ownersOf(project, 's')).map((line) => line.split(' ').at(-1)))).toEqual(
          new Set([owner]),
        );
      },
    ),
  );

  it(
    'owns all tables of the journal, also in a schema of its own',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int);',
        '2_i.sql': '-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY t_id ON t (id);',
        'repeatable/v.sql': 'CREATE OR REPLACE VIEW v AS SELECT 1 AS one;',
      },
      async (project) => {
        const owner = await createOwner(project);
        await project.migrate(
          {},
          { role: owner, journal: { schema: 'ops', name: 'journal' }, hooks: { after: 'SELECT 1' } },
        );

        expect(await ownersOf(project, 'ops')).toEqual(
          ['journal', 'journal_hooks', 'journal_repeatable', 'journal_statements'].map(
            (table) => `${table} ${owner}`,
          ),
        );
        expect(
          await project.sql`SELECT nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'ops'`,
        ).toEqual([{ owner }]);
      },
    ),
  );

  it(
    'names each thing that a migration created as somebody else, once, with SQL that is right',
    withProject(
      { '1_all.sql': `RESET ROLE;${everything}`, '2_more.sql': 'CREATE TABLE more (id int);' },
      async (project) => {
        const owner = await createOwner(project);

        const told = await migrateAs(project, owner);

        expect(new Set(told.map(([name]) => name))).toEqual(new Set(['1_all']));
        expect(told.map(([, object]) => object?.replace('pg_catalog.', '')).sort()).toEqual([
          'aggregate s.total(integer)',
          'collation s.c',
          'function s.f(integer,text)',
          'materialized view s.m',
          'operator s.===(integer,integer)',
          'procedure s.g()',
          'schema s',
          'sequence s.q',
          'statistics object s.st',
          'table s.p',
          'table s.p_1',
          'table s.t',
          'text search configuration s.words',
          'text search dictionary s.simple_one',
          'type s.mood',
          'type s.pair',
          'type s.positive',
          'type s.span',
          'view s."a view"',
        ]);
        for (const [, , remedy] of told)
          await project.sql.unsafe((remedy as string).replace('"owner"', owner));
        project.write({ '3_again.sql': 'ALTER TABLE s.t ADD more int;' });
        expect(await migrateAs(project, owner)).toEqual([]);
        expect(new Set((await ownersOf(project, 's')).map((line) => line.split(' ').at(-1)))).toEqual(
          new Set([owner]),
        );
      },
    ),
  );

  it.each([
    ['RESET ROLE', { '1_a.sql': 'RESET ROLE; CREATE TABLE t (id int);' }, '1_a'],
    [
      'SET SESSION AUTHORIZATION',
      { '1_a.sql': 'SET SESSION AUTHORIZATION postgres; CREATE TABLE t (id int);' },
      '1_a',
    ],
    ['ALTER ... OWNER TO', { '1_a.sql': 'CREATE TABLE t (id int); ALTER TABLE t OWNER TO OTHER;' }, '1_a'],
    [
      'a TypeScript migration',
      { '1_a.ts': 'export const up = (sql: any) => sql.unsafe("RESET ROLE; CREATE TABLE t (id int)");' },
      '1_a',
    ],
    [
      'a migration outside a transaction',
      { '1_a.sql': '-- migrate:up transaction:false\nRESET ROLE;\nCREATE TABLE t (id int);' },
      '1_a',
    ],
    ['a function with the rights of its owner', { '1_a.sql': 'SELECT make_table();' }, 'this run'],
    [
      'a later migration',
      { '0_z.sql': 'CREATE TABLE t (id int);', '1_a.sql': 'ALTER TABLE t OWNER TO OTHER;' },
      '1_a',
    ],
  ] as [string, Record<string, string>, string][])('sees what %s leaves to another', (_, files, name) =>
    withProject({ ...files, '8_end.sql': 'SELECT 1;' }, async (project) => {
      const owner = await createOwner(project);
      const other = await createOther(project, owner);
      for (const [file, text] of Object.entries(files))
        project.write({ [file]: text.replace('OTHER', other) });
      await project.sql`CREATE FUNCTION make_table() RETURNS void LANGUAGE sql SECURITY DEFINER
        AS 'CREATE TABLE public.t (id int)'`;
      // Their own business.
      await project.sql`CREATE TABLE before_it (id int)`;

      expect(await migrateAs(project, owner)).toEqual([
        [name, 'table public.t', 'ALTER TABLE public.t OWNER TO "owner"'],
      ]);
    })(),
  );

  it(
    'sees what a hook leaves, and what a failed run left',
    withProject({ '1_a.sql': 'SELECT make_table();', '2_b.sql': 'SELECT wrong;' }, async (project) => {
      const owner = await createOwner(project);
      await project.sql`CREATE FUNCTION make_table() RETURNS void LANGUAGE sql SECURITY DEFINER
        AS 'CREATE TABLE public.t (id int)'`;

      const error = await migrateAs(project, owner).catch((thrown) => thrown);
      expect(error.excerpt).toContain(`left behind: table public.t is owned by postgres, not by ${owner}`);
      expect(error.excerpt).not.toContain('the next run begins by repairing it');
      expect(error.details.leftovers).toEqual([
        expect.objectContaining({ kind: 'owned by another', owner: 'postgres', role: owner }),
      ]);

      project.write({ '2_b.sql': 'SELECT 1;' });
      const events: MigrationEvent[] = [];
      await project.migrate(
        {},
        {
          role: owner,
          hooks: { after: 'RESET ROLE; CREATE TABLE late (id int)' },
          onProgress: (event) => events.push(event),
        },
      );
      expect(events).toContainEqual(
        expect.objectContaining({
          type: 'left',
          name: 'this run',
          leftover: expect.objectContaining({ object: 'table public.late' }),
        }),
      );
    }),
  );

  it(
    'leaves extensions, and what belongs to them, to who may have them',
    withProject({ '1_a.sql': 'RESET ROLE; CREATE EXTENSION pg_trgm;' }, async (project) => {
      const owner = await createOwner(project);

      expect(await migrateAs(project, owner)).toEqual([]);
    }),
  );

  it(
    'is a warning for a person, with the SQL; of very many the first ones are named',
    withProject(
      {
        '1_a.sql': 'CREATE TABLE t (id int);',
      },
      async (project) => {
        const owner = await createOwner(project);
        const surroundings = {
          cwd: project.folder,
          env: { DATABASE_URL: project.url, EDUSCHEMA_ROLE: owner },
        };

        const other = await createOther(project, owner);
        project.write({ '1_a.sql': `CREATE TABLE t (id int); ALTER TABLE t OWNER TO ${other};` });

        const few = await eduschema('migrate', surroundings);
        expect([few.exitCode, few.stderr]).toEqual([
          0,
          `warning: 1_a: table public.t is owned by ${other}, not by ${owner} (ALTER TABLE public.t OWNER TO "${owner}")\n`,
        ]);
        project.write({
          '2_b.sql': Array.from(
            { length: 50 },
            (_, n) => `CREATE TABLE t${n} (id int); ALTER TABLE t${n} OWNER TO ${other};`,
          ).join('\n'),
        });
        const many = await eduschema('migrate', surroundings);
        expect(many.stderr.trimEnd().split('\n')).toHaveLength(21);
        expect(many.stderr).toContain(`\nwarning: and 30 more that are not owned by ${owner}\n`);
      },
    ),
  );
});

describe('a role that cannot be taken', () => {
  const files = { '1_t.sql': 'CREATE TABLE t (id int);' };
  const untouched = async ({ sql }: Project) =>
    expect(await sql`SELECT to_regclass('schema_versions') AS journal, to_regclass('t') AS t`).toEqual([
      { journal: null, t: null },
    ]);
  const run = (project: Project, role: string, url = project.url) =>
    eduschema(['migrate', '--role', role], { cwd: project.folder, env: { DATABASE_URL: url } });

  const cases = (project: Project, through: (url: string) => string = (url) => url) => ({
    async missing() {
      const { exitCode, stderr } = await run(project, 'no one', through(project.url));
      expect(exitCode).toBe(2);
      expect(stderr).toContain(
        'there is no role no one\nhint: CREATE ROLE "no one", or name another with --role\n',
      );
      await untouched(project);
    },
  });

  it(
    'because there is none of the name',
    withProject(files, (project) => cases(project).missing()),
  );

  it(
    'because the user may not',
    withProject(files, async (project) => {
      const [deployer, owner] = [await project.createUser(), await project.createUser()];
      const url = new URL(deployer.url);
      url.pathname = `/${project.name}`;

      const { exitCode, stderr } = await run(project, owner.name, url.href);

      expect([exitCode, stderr]).toEqual([
        2,
        `${deployer.name} may not become the role ${owner.name}\nhint: GRANT "${owner.name}" TO "${deployer.name}", or leave --role out\n`,
      ]);
      await untouched(project);
    }),
  );

  it.each([
    ['none', 'no role can be called none'],
    ['r'.repeat(64), 'has 64 bytes; PostgreSQL allows 63'],
  ])('because of its name: %s', (role, message) =>
    withProject(files, async (project) => {
      const { exitCode, stderr } = await run(project, role);

      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
      await untouched(project);
    })(),
  );

  it(
    'an empty variable is no role',
    withProject(files, async (project) => {
      const { exitCode } = await eduschema('migrate', {
        cwd: project.folder,
        env: { DATABASE_URL: project.url, EDUSCHEMA_ROLE: '' },
      });

      expect(exitCode).toBe(0);
    }),
  );

  it(
    'a journal that belongs to somebody else is named',
    withProject(files, async (project) => {
      await project.migrate();
      const owner = await createOwner(project);
      project.write({ '2_u.sql': 'CREATE TABLE u (id int);' });

      const { exitCode, stderr } = await run(project, owner);

      expect(exitCode).toBe(2);
      expect(stderr).toContain('permission denied for table schema_versions');
    }),
  );

  it.runIf(hasPgBouncer())(
    'through PgBouncer as well',
    withProject(files, async (project) => {
      const pooler = await startPgBouncer();
      try {
        await cases(project, pooler.urlOf).missing();
        expect((await run(project, 'none', pooler.urlOf(project.url))).exitCode).toBe(2);
      } finally {
        await pooler.stop();
      }
    }),
  );
});
