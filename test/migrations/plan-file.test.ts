import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/migrations/migrate.ts';
import { createDatabase, dropDatabase } from '../helpers/database.ts';
import { carryOut, differencesOf, fileOf, makePlan, planRest, readPlan, withNote } from '../helpers/plans.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = {
  '1_materials.sql': 'CREATE TABLE materials (id bigint PRIMARY KEY, title text);',
  '2_note.sql':
    '-- migrate:up placeholders:true\nALTER TABLE materials ADD note text DEFAULT $(note);\n\\ir include/more.sql\n',
  'include/more.sql': '-- more\nCREATE INDEX materials_title ON materials (title);\n',
  '3_index.sql':
    '-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY materials_note ON materials (note);\n',
  'repeatable/titles.sql': 'CREATE OR REPLACE VIEW titles AS SELECT title FROM materials;',
};

describe('a plan', () => {
  it(
    'holds what would run, statement by statement, and changes nothing',
    withProject(files, async (project) => {
      const { sql } = project;
      const tables = () =>
        sql`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`;
      await project.migrate({ steps: 1 }, withNote);
      const before = await tables();

      const made = await makePlan(project);

      expect(await tables()).toEqual(before);
      const plan = readPlan(project);
      expect(plan).toMatchObject({
        eduschema: 'plan',
        format: 1,
        database: { name: project.name, searchPath: 'public', user: 'postgres' },
        settings: { journal: 'public.schema_versions', schema: null, role: null },
        options: { to: null, steps: null, outOfOrder: false, singleTransaction: false },
        recorded: { versions: { 1: expect.stringMatching(/^[0-9a-f]{64}$/) }, repeatable: {} },
      });
      expect(
        plan.steps.map(({ name, transaction, statements }) => [
          name,
          transaction,
          statements?.map(({ sql, runs }) => [sql, runs]),
        ]),
      ).toEqual([
        [
          '2_note',
          'own',
          [
            ["ALTER TABLE materials ADD note text DEFAULT 'secret'", undefined],
            ['CREATE INDEX materials_title ON materials (title)', undefined],
          ],
        ],
        ['3_index', 'none', [['CREATE INDEX CONCURRENTLY materials_note ON materials (note)', 'alone']]],
        [
          'repeatable titles',
          'own',
          [['CREATE OR REPLACE VIEW titles AS SELECT title FROM materials', undefined]],
        ],
      ]);
      for (const { sql, hash } of plan.steps.flatMap(({ statements }) => statements ?? []))
        expect(hash).toBe(createHash('sha256').update(sql).digest('hex'));
      expect(made.sha256).toBe(
        createHash('sha256')
          .update(readFileSync(fileOf(project).path))
          .digest('hex'),
      );
      expect(made.warnings).toEqual([
        'the plan holds the values of note: where these are secret, so is the plan',
      ]);
    }),
  );

  it(
    'is for its owner alone, replaces another plan, and no other file',
    withProject(files, async (project) => {
      await makePlan(project);
      await makePlan(project);

      expect(statSync(fileOf(project).path).mode & 0o777).toBe(0o600);
      expect(readdirSync(project.folder).sort()).toEqual(['migrations', 'plan.json']);
      const other = fileOf(project, 'migrations/1_materials.sql');
      await expect(project.migrate({ plan: other }, withNote)).rejects.toMatchObject({ code: 'file-exists' });
      expect(readFileSync(other.path, 'utf8')).toBe(files['1_materials.sql']);
      await expect(
        project.migrate({ plan: fileOf(project, 'nowhere/plan.json') }, withNote),
      ).rejects.toMatchObject({
        code: 'file-unwritable',
        message: 'nowhere/plan.json cannot be written (ENOENT)',
      });
      await expect(project.migrate({ plan: fileOf(project, 'migrations') }, withNote)).rejects.toMatchObject({
        code: 'file-exists',
      });
    }),
  );

  it(
    'can be made by a user who may only read, and carried out by another',
    withProject(files, async (project) => {
      await project.migrate({ steps: 1 }, withNote);
      const reader = await project.createUser();
      await project.sql.unsafe(`GRANT SELECT ON schema_versions TO ${reader.name};
        ALTER ROLE ${reader.name} SET default_transaction_read_only = on`);

      await project.open(
        (database) => migrate(database, { ...project.settings, ...withNote }, { plan: fileOf(project) }),
        reader.target,
      );

      expect(readPlan(project).database.user).toBe(reader.name);
      expect(await carryOut(project)).toMatchObject({ current: '3' });
      await project.sql.unsafe(`DROP OWNED BY ${reader.name}`);
    }),
  );

  it(
    'is carried out as it says, and once',
    withProject(files, async (project) => {
      const { sha256 } = await planRest(project);

      const { done, previous, current, planSha256 } = await carryOut(project);

      expect(done.map(({ name }) => name)).toEqual(['2_note', '3_index', 'repeatable titles']);
      expect([previous, current, planSha256]).toEqual(['1', '3', sha256]);
      expect(await carryOut(project)).toMatchObject({ done: [], current: '3' });
      expect(await project.sql`SELECT plan, state, done, steps FROM schema_versions_plans`).toEqual([
        { plan: sha256, state: 'finished', done: 3, steps: 3 },
      ]);
    }),
  );

  it(
    'with nothing to do does nothing',
    withProject(files, async (project) => {
      await project.migrate({}, withNote);
      const { steps } = await makePlan(project);

      expect(steps).toEqual([]);
      expect(await carryOut(project)).toMatchObject({ done: [], current: '3' });
      expect(await project.sql`SELECT to_regclass('schema_versions_plans') AS plans`).toEqual([
        { plans: null },
      ]);
    }),
  );

  it(
    'goes from an empty database, through a journal and a schema that it makes itself',
    withProject(
      { '1_t.sql': 'CREATE TABLE t (id int);', '2_broken.sql': 'SELECT 1/(SELECT count(*) FROM t);' },
      async (project) => {
        const settings = { schema: 'app', journal: { schema: 'ops', name: 'done' } };
        await makePlan(project, {}, settings);

        await expect(carryOut(project, {}, settings)).rejects.toMatchObject({ code: 'migration-failed' });
        await project.sql`INSERT INTO app.t VALUES (1)`;
        expect(await carryOut(project, {}, settings)).toMatchObject({ done: [{ name: '2_broken' }] });
        expect(await project.sql`SELECT state, done FROM ops.done_plans`).toEqual([
          { state: 'finished', done: 2 },
        ]);
      },
    ),
  );

  it(
    'takes along how much was asked for',
    withProject(files, async (project) => {
      await makePlan(project, { to: '2', singleTransaction: true });

      expect(readPlan(project).steps.map(({ name, transaction }) => [name, transaction])).toEqual([
        ['1_materials', 'shared'],
        ['2_note', 'shared'],
      ]);
      expect(await carryOut(project)).toMatchObject({ current: '2' });
      await makePlan(project, { steps: 1 });
      expect((await carryOut(project)).done.map(({ name }) => name)).toEqual([
        '3_index',
        'repeatable titles',
      ]);
      expect(await carryOut(project)).toMatchObject({ done: [] });
      project.write({ '2.5_late.sql': 'SELECT 1;', 'repeatable/titles.sql': 'SELECT 2;' });
      await expect(makePlan(project)).rejects.toMatchObject({ code: 'version-out-of-order' });
      await makePlan(project, { outOfOrder: true });
      expect((await carryOut(project)).done.map(({ name }) => name)).toEqual([
        '2.5_late',
        'repeatable titles',
      ]);
    }),
  );

  it.each([
    { to: '2' },
    { steps: 1 },
    { outOfOrder: true },
    { singleTransaction: true },
    { plan: { path: '/nowhere', shown: 'nowhere' } },
  ])('says what is done: carrying it out with %o is refused', (options) =>
    withProject(files, async (project) => {
      await makePlan(project);

      await expect(carryOut(project, options)).rejects.toMatchObject({ code: 'usage' });
    })(),
  );

  it.each([{ dryRun: true }, { markDone: [1] }, { redo: [1] }])(
    'changes nothing: making it with %o is refused',
    (options) =>
      withProject(files, async (project) => {
        await expect(makePlan(project, options)).rejects.toMatchObject({ code: 'usage' });
      })(),
  );

  it(
    'can be compared without being carried out',
    withProject(files, async (project) => {
      await planRest(project);

      const { script, done } = await carryOut(project, { dryRun: true });

      expect(done).toEqual([]);
      expect(script).toContain("ALTER TABLE materials ADD note text DEFAULT 'secret'");
      expect(await project.versions()).toEqual(['1']);
      await project.sql`CREATE TABLE other (id int)`;
      expect(await differencesOf(carryOut(project, { dryRun: true }))).toEqual(['new table public.other']);
    }),
  );
});

/** What somebody does between the plan and its run, and what the plan is refused for. */
const changes: Readonly<Record<string, readonly [(project: Project) => unknown, string[]]>> = {
  'alters a default': [
    ({ sql }) => sql`ALTER TABLE materials ALTER title SET DEFAULT 'x'`,
    ['changed column public.materials.title'],
  ],
  'takes a right away': [
    ({ sql }) => sql`REVOKE SELECT ON given FROM pg_monitor`,
    ['gone privileges on table public.given'],
  ],
  'adds an index': [
    ({ sql }) => sql`CREATE INDEX own ON materials (title)`,
    ['new index public.own on public.materials'],
  ],
  'drops a table': [({ sql }) => sql`DROP TABLE given`, ['gone table public.given']],
  'edits a file': [
    ({ write }) => write({ '3_index.sql': files['3_index.sql'].replace('(note)', '(note, title)') }),
    ['changed 3_index: statement 1 at line 2 of migrations/3_index.sql is another one'],
  ],
  'edits a comment': [
    ({ write }) => write({ '3_index.sql': `${files['3_index.sql']}-- done\n` }),
    ['changed 3_index: migrations/3_index.sql was edited outside of these statements'],
  ],
  'edits an included file': [
    ({ write }) =>
      write({ 'include/more.sql': '\n\nCREATE INDEX materials_title ON materials (title DESC);' }),
    ['changed 2_note: statement 2 at line 3 of migrations/include/more.sql is another one'],
  ],
  'adds a statement': [
    ({ write }) => write({ 'include/more.sql': `${files['include/more.sql']}SELECT 1;` }),
    ['changed 2_note: statement 3 at line 3 of migrations/include/more.sql is new'],
  ],
  'takes a statement away': [
    ({ write }) => write({ 'include/more.sql': '' }),
    ['changed 2_note: statement 2 is gone'],
  ],
  'changes a transaction': [
    ({ write }) =>
      write({ '2_note.sql': files['2_note.sql'].replace('placeholders', 'transaction:false placeholders') }),
    ['changed 2_note: its transaction: own then, none now'],
  ],
  'edits a repeatable migration': [
    ({ write }) => write({ 'repeatable/titles.sql': 'CREATE OR REPLACE VIEW titles AS SELECT 1 AS one;' }),
    ['changed repeatable titles: statement 1 at line 1 of migrations/repeatable/titles.sql is another one'],
  ],
  'takes a file away': [
    ({ settings }) => rmSync(join(settings.directory, '3_index.sql')),
    ['gone 3_index: there is no migrations/3_index.sql to carry out'],
  ],
  'adds a migration': [
    ({ write }) => write({ '4_more.sql': 'SELECT 1;' }),
    ['new 4_more: migrations/4_more.sql is not in the plan'],
  ],
  'applies one of them': [
    (project) => project.migrate({ steps: 1 }, withNote),
    [
      'new 2_note: it was applied since, and not by this plan',
      'new column public.materials.note',
      'new index public.materials_title on public.materials',
    ],
  ],
  'undoes what was applied': [
    (project) => project.sql`DELETE FROM schema_versions`,
    ['new 1_materials: migrations/1_materials.sql is not in the plan', 'gone 1: it is no longer applied'],
  ],
  'moves where names lead': [
    ({ sql, name }) =>
      sql.unsafe(`CREATE SCHEMA other; ALTER DATABASE ${name} SET search_path = other, public`),
    [
      'changed search_path: names without a schema led to public then, and lead to other, public now',
      'new schema other',
    ],
  ],
};

describe('a plan is refused, and nothing runs, when somebody', () => {
  it.each(Object.entries(changes))('%s', (_, [change, expected]) =>
    withProject({ ...files }, async (project) => {
      await project.sql`CREATE TABLE given (id int)`;
      await project.sql`GRANT SELECT ON given TO pg_monitor`;
      await planRest(project);
      await change(project);
      const before = await project.versions();

      expect((await differencesOf(carryOut(project))).sort()).toEqual([...expected].sort());
      expect(await project.versions()).toEqual(before);
    })(),
  );

  it(
    'gives a placeholder another value, which it does not show',
    withProject(files, async (project) => {
      await planRest(project);

      const error = await carryOut(project, {}, { placeholders: { note: 'hidden' } }).catch((error) => error);

      expect(error.details.differences).toEqual([
        {
          of: 'migration',
          change: 'changed',
          name: '2_note',
          detail: 'statement 1 at line 2 of migrations/2_note.sql is another one',
        },
      ]);
      expect(JSON.stringify([error.message, error.excerpt, error.details])).not.toMatch(/secret|hidden/);
    }),
  );

  it(
    'changes several things: each is named, up to ten, and what to do',
    withProject(files, async (project) => {
      await planRest(project);
      for (let table = 1; table <= 12; table++) await project.sql.unsafe(`CREATE TABLE t${table} (id int)`);

      await expect(carryOut(project)).rejects.toMatchObject({
        message: '12 things are not as when plan.json was made: nothing was run',
        excerpt: expect.stringMatching(/^( {2}new {6}table public\.t\d+\n){10} {2}and 2 more$/),
        hint: 'find out why, then make a new plan: eduschema migrate --plan plan.json',
      });
      await makePlan(project);
      expect(await carryOut(project)).toMatchObject({ current: '3' });
    }),
  );

  it(
    'edits data that is copied, of any size',
    withProject(
      {
        '1_t.sql': 'CREATE TABLE t (id int, text text);',
        '2_small.sql': 'COPY t FROM stdin;\n1\ta\n\\.\n',
        '3_large.sql': `COPY t FROM stdin;\n${`2\t${'x'.repeat(1000)}\n`.repeat(9000)}\\.\n`,
      },
      async (project) => {
        await makePlan(project);
        const [, small, large] = readPlan(project).steps;
        expect(small?.statements?.[0]).toMatchObject({ sql: 'COPY t FROM stdin', data: { bytes: 4 } });
        expect(large?.statements?.[0]).toMatchObject({
          sql: 'COPY t FROM stdin',
          data: { bytes: 9000 * 1003 },
        });
        expect(statSync(fileOf(project).path).size).toBeLessThan(10_000);

        project.write({ '2_small.sql': 'COPY t FROM stdin;\n1\tb\n\\.\n' });
        project.write({
          '3_large.sql': `COPY t FROM stdin;\n${`2\t${'y'.repeat(1000)}\n`.repeat(9000)}\\.\n`,
        });

        expect(await differencesOf(carryOut(project))).toEqual([
          'changed 2_small: statement 1 at line 1 of migrations/2_small.sql has other data',
          'changed 3_large: statement 1 at line 1 of migrations/3_large.sql has other data',
        ]);
      },
    ),
  );

  it(
    'edits a migration that is code',
    withProject(
      { '1_code.ts': 'export const up = async (sql: any) => { await sql`SELECT 1`; };' },
      async (project) => {
        const { warnings } = await makePlan(project);
        expect(warnings).toEqual([
          'migrations/1_code.ts is code: the plan has the checksum of this file, not its statements, nor what it imports',
        ]);
        expect(readPlan(project).steps).toMatchObject([{ kind: 'code', statements: null }]);
        project.write({ '1_code.ts': 'export const up = async (sql: any) => { await sql`SELECT 2`; };' });

        expect(await differencesOf(carryOut(project))).toEqual([
          'changed 1_code: migrations/1_code.ts was edited',
        ]);
      },
    ),
  );
});

describe('a plan is carried out', () => {
  it.each([
    "INSERT INTO materials SELECT n, 'x' FROM generate_series(1, 1000) n",
    'VACUUM',
    'ANALYZE',
    "SELECT nextval('numbers')",
    'REINDEX TABLE materials',
    'CREATE TABLE t (id int); DROP TABLE t',
  ])('after somebody did %s', (statement) =>
    withProject(files, async (project) => {
      await project.sql`CREATE SEQUENCE numbers`;
      await planRest(project);
      await project.sql.unsafe(statement);

      expect(await carryOut(project)).toMatchObject({ current: '3' });
    })(),
  );
});

describe('what is no plan for this', () => {
  const altered = (change: (plan: Record<string, unknown>) => void) => (project: Project) => {
    const { seal: _, ...plan } = readPlan(project) as unknown as Record<string, unknown>;
    change(plan);
    const seal = createHash('sha256').update(JSON.stringify(plan)).digest('hex');
    writeFileSync(fileOf(project).path, JSON.stringify({ ...plan, seal }));
  };
  const replaced = (from: string, to: string) => (project: Project) => {
    const { path } = fileOf(project);
    writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
  };
  const written = (text: string) => (project: Project) => writeFileSync(fileOf(project).path, text);

  it.each([
    [
      'missing',
      (project: Project) => rmSync(fileOf(project).path),
      'file-unreadable',
      'plan.json cannot be read (ENOENT)',
    ],
    ['text', written('CREATE TABLE t ();'), 'plan-invalid', 'plan.json is no plan'],
    ['other JSON', written('[1, null]'), 'plan-invalid', 'plan.json is no plan'],
    ['nothing', written(''), 'plan-invalid', 'plan.json is no plan'],
    [
      'cut off',
      (project: Project) => written(readFileSync(fileOf(project).path, 'utf8').slice(0, -50))(project),
      'plan-invalid',
      'plan.json is no plan',
    ],
    [
      'edited',
      replaced('materials_title', 'materials_other'),
      'plan-invalid',
      'plan.json was edited since it was made',
    ],
    [
      'of a newer format',
      replaced('"format": 1', '"format": 2'),
      'plan-invalid',
      'plan.json has the format 2, and this eduschema knows 1',
    ],
    [
      'sealed without its steps',
      altered((plan) => delete plan.steps),
      'plan-invalid',
      'plan.json is no whole plan',
    ],
    [
      'sealed with a step of another kind',
      altered((plan) => Object.assign(plan, { steps: [null] })),
      'plan-invalid',
      'plan.json is no whole plan',
    ],
    [
      'sealed by another version',
      altered((plan) => Object.assign(plan, { tool: '99.0.0' })),
      'plan-differs',
      'one thing is not as when plan.json was made: nothing was run',
    ],
  ])('a file that is %s is refused', (_, change, code, message) =>
    withProject(files, async (project) => {
      await makePlan(project);
      change(project);

      await expect(carryOut(project)).rejects.toMatchObject({ code, message });
      await expect(project.versions()).rejects.toThrow('does not exist');
    })(),
  );

  it(
    'a plan for another database, journal, schema or role, or an older server',
    withProject(files, async (project) => {
      await makePlan(project);
      const other = await createDatabase();
      try {
        const refused = project.open(async (database) => {
          await migrate(database, { ...project.settings, ...withNote }, { fromPlan: fileOf(project) });
        }, other.target);
        expect(await differencesOf(refused)).toEqual([
          `changed database: ${project.name} then, ${other.name} now`,
        ]);
      } finally {
        await dropDatabase(other);
      }
      const settings = { journal: { schema: 'ops', name: 'done' }, schema: 'app', role: 'pg_monitor' };
      expect(await differencesOf(carryOut(project, {}, { ...withNote, ...settings }))).toEqual([
        'changed journal: public.schema_versions then, ops.done now',
        'changed schema: none then, app now',
        'changed role: none then, pg_monitor now',
      ]);
      altered((plan) => Object.assign(plan.database as object, { server: '11.4' }))(project);
      expect(await differencesOf(carryOut(project))).toEqual([
        expect.stringMatching(/^changed server: PostgreSQL 11\.4 then, PostgreSQL 1\d\.\d+ now$/),
      ]);
    }),
  );

  it(
    'a minor version that prints a definition otherwise is named as a possible cause',
    withProject(files, async (project) => {
      await makePlan(project);
      const { server } = readPlan(project).database;
      altered((plan) =>
        Object.assign(plan.database as object, { server: `${Number.parseInt(server, 10)}.0` }),
      )(project);
      await project.sql`CREATE TABLE other (id int)`;

      await expect(carryOut(project)).rejects.toMatchObject({
        excerpt: expect.stringMatching(
          /table public\.other\n\nthe server was \d+\.0 then and is \d+\.\d+ now, which may/,
        ),
      });
    }),
  );
});
