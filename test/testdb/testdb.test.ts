import { describe, expect, it } from 'vitest';
import { withDatabase as open } from '../../src/db/connect.ts';
import { resolveTarget } from '../../src/db/resolve-target.ts';
import type { Target } from '../../src/db/target.ts';
import type { MigrationSettings } from '../../src/migrations/settings.ts';
import { type FoundDatabase, markStatement } from '../../src/testdb/databases.ts';
import { templateKey } from '../../src/testdb/key.ts';
import { newName } from '../../src/testdb/names.ts';
import { pruneServer } from '../../src/testdb/prune.ts';
import { createClones, dropClones, listOnServer } from '../../src/testdb/testdb.ts';
import { startProcess, until } from '../helpers/process.ts';
import { type Project, withProject } from '../helpers/project.ts';

const files = {
  '1_t.sql': 'CREATE TABLE t (id int); INSERT INTO t VALUES (1);',
  'repeatable/v.sql': 'CREATE OR REPLACE VIEW v AS SELECT count(*) AS n FROM t;',
};

/** What a project made on the server that all tests share. */
async function ofProject({ target }: Project, key: string): Promise<FoundDatabase[]> {
  return (await listOnServer(target)).filter((found) => found.key === key);
}

const ask = async <Row>(url: string, query: string): Promise<Row[]> => {
  const target = resolveTarget({ url, env: {} }) as Target;
  return open(target, {}, async ({ sql }) => [...(await sql.unsafe(query))] as Row[]);
};

/** Test databases outlive the test's own: they are dropped by the keys that the test used. */
function withKeys(
  use: (project: Project, keyOf: () => Promise<string>) => Promise<void>,
): () => Promise<void> {
  return withProject(files, async (project) => {
    const keys = new Set<string>();
    const keyOf = async () => {
      const key = await templateKey(project.settings, '', project.target);
      keys.add(key);
      return key;
    };
    try {
      await use(project, keyOf);
    } finally {
      for (const key of keys)
        for (const { name, kind } of await ofProject(project, key)) {
          if (kind === 'template') await project.sql.unsafe(`ALTER DATABASE ${name} IS_TEMPLATE false`);
          await project.sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
        }
    }
  });
}

describe('test databases', () => {
  it(
    'are migrated, each its own, from a template that is built once',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      const first = await createClones(project.target, project.settings, 1);
      const more = await createClones(project.target, project.settings, 2);

      expect([first.built, more.built]).toEqual([true, false]);
      const urls = [...first.databases, ...more.databases].map(({ url }) => url);
      await ask(urls[0] as string, 'INSERT INTO t VALUES (2)');
      expect(await Promise.all(urls.map((url) => ask(url, 'SELECT n::int FROM v')))).toEqual([
        [{ n: 2 }],
        [{ n: 1 }],
        [{ n: 1 }],
      ]);
      expect((await ofProject(project, key)).map(({ kind }) => kind)).toEqual([
        'clone',
        'clone',
        'clone',
        'template',
      ]);
      // The database that was named is none of it.
      expect(await project.sql`SELECT to_regclass('t') AS t`).toEqual([{ t: null }]);
    }),
  );

  it(
    'come from another template when a migration, a view or a placeholder has changed',
    withKeys(async (project, keyOf) => {
      const keys = [await keyOf()];
      project.write({ '2_u.sql': 'CREATE TABLE u (id int);' });
      keys.push(await keyOf());
      project.write({ 'repeatable/v.sql': 'CREATE OR REPLACE VIEW v AS SELECT count(*) + 1 AS n FROM t;' });
      keys.push(await keyOf());
      const more: MigrationSettings[] = [
        { ...project.settings, placeholders: { owner: 'a' } },
        { ...project.settings, schema: 'app' },
      ];
      for (const settings of more) keys.push(await templateKey(settings, '', project.target));
      keys.push(await templateKey(project.settings, 'seed 1', project.target));

      expect(new Set(keys).size).toBe(6);
      const { databases } = await createClones(project.target, project.settings, 1);
      expect(await ask(databases[0]?.url as string, 'SELECT n::int FROM v')).toEqual([{ n: 2 }]);
    }),
  );

  it(
    'are seeded once, in the template',
    withProject(files, async (project) => {
      let seeded = 0;
      const seeding = {
        key: `seed ${Math.random()}`,
        seed: async ({ sql }: { sql: Project['sql'] }) => {
          seeded++;
          await sql`INSERT INTO t SELECT generate_series(1, 9)`;
        },
      };
      const { databases } = await createClones(project.target, project.settings, 2, seeding);
      await createClones(project.target, project.settings, 1, seeding);

      expect(seeded).toBe(1);
      expect(await ask(databases[1]?.url as string, 'SELECT n::int FROM v')).toEqual([{ n: 10 }]);
      const key = await templateKey(project.settings, seeding.key, project.target);
      for (const { name, kind } of await ofProject(project, key)) {
        if (kind === 'template') await project.sql.unsafe(`ALTER DATABASE ${name} IS_TEMPLATE false`);
        await project.sql.unsafe(`DROP DATABASE ${name} WITH (FORCE)`);
      }
    }),
  );

  it(
    'of several builders at once, one builds and the others wait for it',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      project.write({ '2_slow.sql': 'SELECT pg_sleep(0.5);' });
      const slowKey = await keyOf();
      const results = await Promise.all(
        Array.from({ length: 4 }, () => createClones(project.target, project.settings, 2)),
      );

      expect(results.filter(({ built }) => built)).toHaveLength(1);
      expect(await ofProject(project, slowKey)).toHaveLength(9);
      expect(await ofProject(project, key)).toEqual([]);
    }),
  );

  it(
    'a migration that fails leaves no template and nothing half built',
    withKeys(async (project, keyOf) => {
      project.write({ '2_wrong.sql': 'CREATE TABLE u (id int); SELECT 1 / 0;' });
      const key = await keyOf();

      await expect(createClones(project.target, project.settings, 1)).rejects.toMatchObject({
        code: 'migration-failed',
      });
      expect(await ofProject(project, key)).toEqual([]);
    }),
  );

  it(
    'what a killed builder left is removed and built anew',
    withKeys(async (project, keyOf) => {
      project.write({ '2_slow.sql': 'SELECT pg_sleep(1.5);' });
      const key = await keyOf();
      const killed = startProcess('testdb create', project.folder, { DATABASE_URL: project.url });
      await until('it builds', async () => (await ofProject(project, key)).length > 0);
      killed.child.kill('SIGKILL');
      await killed.ended;
      expect((await ofProject(project, key)).map(({ kind }) => kind)).toEqual(['building']);

      const { built } = await createClones(project.target, project.settings, 1);

      expect(built).toBe(true);
      expect((await ofProject(project, key)).map(({ kind }) => kind)).toEqual(['clone', 'template']);
    }),
  );

  it(
    'none stays of several when their making is interrupted',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      const made = startProcess('testdb clone 500 --json', project.folder, { DATABASE_URL: project.url });
      await until('two are made', async () => (await ofProject(project, key)).length > 2);
      made.child.kill('SIGINT');
      await made.ended;

      expect((await ofProject(project, key)).map(({ kind }) => kind)).toEqual(['template']);
    }),
  );

  it(
    'a template that was removed is built again',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      const { template } = await createClones(project.target, project.settings, 1);
      await project.sql.unsafe(`ALTER DATABASE ${template} IS_TEMPLATE false`);
      await project.sql.unsafe(`DROP DATABASE ${template}`);

      expect((await createClones(project.target, project.settings, 1)).built).toBe(true);
      expect(await ofProject(project, key)).toHaveLength(3);
    }),
  );

  it(
    'are dropped by name, with whoever is in them; databases of others are not',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      const { databases, template } = await createClones(project.target, project.settings, 2);
      const names = databases.map(({ name }) => name);
      const visitor = project.connect({ database: names[0] as string, max: 1 });
      await visitor`SELECT 1`;

      await expect(dropClones(project.target, [...names, project.name])).rejects.toMatchObject({
        code: 'database-missing',
        message: `${project.name} is no test database that eduschema made`,
      });
      await expect(dropClones(project.target, [template])).rejects.toMatchObject({
        code: 'database-missing',
      });
      expect(await ofProject(project, key)).toHaveLength(3);
      await dropClones(project.target, names);
      expect((await ofProject(project, key)).map(({ name }) => name)).toEqual([template]);
    }),
  );

  it(
    'of another role, or with a comment of somebody, are not dropped by name; what is gone already is no error',
    withKeys(async (project, keyOf) => {
      await keyOf();
      const { databases } = await createClones(project.target, project.settings, 2);
      const [commented, others] = databases.map(({ name }) => name) as [string, string];
      const owner = await project.createUser();
      await project.sql.unsafe(`COMMENT ON DATABASE ${commented} IS 'by hand'`);
      await project.sql.unsafe(`ALTER DATABASE ${others} OWNER TO ${owner.name}`);

      await expect(dropClones(project.target, [commented])).rejects.toMatchObject({
        code: 'database-missing',
        message: `${commented} is no test database that eduschema made`,
      });
      await expect(dropClones(project.target, [others])).rejects.toMatchObject({
        code: 'permission-denied',
        message: `${others} is a test database of ${owner.name}`,
      });
      await project.sql.unsafe(`COMMENT ON DATABASE ${commented} IS NULL`);
      await project.sql.unsafe(`ALTER DATABASE ${others} OWNER TO CURRENT_USER`);
      expect(await dropClones(project.target, [commented, others])).toEqual([commented, others]);
      expect(await dropClones(project.target, [commented, others])).toEqual([]);
    }),
  );

  it(
    'belong to who makes them, with what is in them, whoever else has the same migrations',
    withProject(files, async (project) => {
      for (const user of [await project.createUser('CREATEDB'), await project.createUser('CREATEDB')]) {
        const { databases, template, built } = await createClones(user.target, project.settings, 1);
        const [made] = databases;

        expect(built).toBe(true);
        expect(await ask(made?.url as string, 'SELECT count(*)::int AS n FROM t')).toEqual([{ n: 1 }]);
        await dropClones(user.target, [made?.name as string]);
        await project.sql.unsafe(`ALTER DATABASE ${template} IS_TEMPLATE false`);
        await project.sql.unsafe(`DROP DATABASE ${template}`);
      }
    }),
  );

  it(
    'come from another template when a hook, what code imports, or a setting of the session has changed',
    withProject(files, async (project) => {
      const { settings, target } = project;
      const keys = [await templateKey(settings, '', target)];
      const add = async (more: Partial<MigrationSettings>, of = target) =>
        keys.push(await templateKey({ ...settings, ...more }, '', of));
      await add({ hooks: { after: 'INSERT INTO t VALUES (2)' } });
      project.write({ '_rows.sql': 'INSERT INTO t VALUES (3);' });
      await add({ hooks: { after: '\\i _rows.sql' } });
      project.write({ '_rows.sql': 'INSERT INTO t VALUES (4);' });
      await add({ hooks: { after: '\\i _rows.sql' } });
      await add({ hooks: { after: (sql) => sql`INSERT INTO t VALUES (5)` } });
      project.write({ '2_c.ts': "export { up } from './_up.ts';", '_up.ts': 'export const up = () => {};' });
      await add({});
      project.write({ '_up.ts': 'export const up = () => 1;' });
      await add({});
      await add({}, { ...target, parameters: { search_path: 'app' } });

      expect(new Set(keys).size).toBe(8);
      await add({}, { ...target, parameters: { application_name: 'a job' } });
      expect(new Set(keys).size).toBe(8);
    }),
  );

  it(
    'that the server does not drop stay and stop nothing, nor does another who prunes at once',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      const longAgo = Date.now() - 30 * 86_400_000;
      const { databases, template } = await createClones(project.target, project.settings, 4);
      const names = databases.map(({ name }) => name);
      for (const name of [...names, template]) await project.sql.unsafe(markStatement(name, longAgo));
      const subscriber = project.connect({ database: names[0] as string, max: 1 });
      await subscriber`CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false)`;
      await subscriber.end();
      const left: string[] = [];
      try {
        const onLeft = (name: string, reason: string) => left.push(`${name}: ${reason}`);
        const all = await Promise.all(
          Array.from({ length: 3 }, () => pruneServer(project.target, { onLeft })),
        );
        const pruned = all.flat().filter((found) => found.key === key);

        expect(pruned.map(({ name }) => name).sort()).toEqual([...names.slice(1), template].sort());
        expect(new Set(left.filter((line) => line.includes(key)))).toEqual(
          new Set([`${names[0]}: There is 1 subscription.`]),
        );
        expect((await ofProject(project, key)).map(({ name }) => name)).toEqual([names[0]]);
      } finally {
        const mender = project.connect({ database: names[0] as string, max: 1 });
        await mender`ALTER SUBSCRIPTION s SET (slot_name = NONE)`;
        await mender`DROP SUBSCRIPTION s`;
        await mender.end();
      }
    }),
  );

  it(
    'are pruned by age and owner, when nobody is in them; what is not ours by name, mark and owner stays',
    withKeys(async (project, keyOf) => {
      const key = await keyOf();
      const { databases, template } = await createClones(project.target, project.settings, 3);
      const [old, used, young] = databases.map(({ name }) => name) as [string, string, string];
      const longAgo = Date.now() - 3 * 86_400_000;
      for (const name of [old, used]) await project.sql.unsafe(markStatement(name, longAgo));
      const visitor = project.connect({ database: used, max: 1 });
      await visitor`SELECT 1`;
      const owner = await project.createUser();
      const unmarked = newName('clone', key, longAgo);
      const others = newName('clone', key, longAgo);
      const commented = newName('clone', key, longAgo);
      for (const name of [unmarked, others, commented]) await project.sql.unsafe(`CREATE DATABASE ${name}`);
      await project.sql.unsafe(`ALTER DATABASE ${others} OWNER TO ${owner.name}`);
      await project.sql.unsafe(`COMMENT ON DATABASE ${commented} IS 'by hand'`);
      try {
        const pruner = await project.createUser('CREATEDB');
        expect(await pruneServer(pruner.target, {})).toEqual([]);
        const pruned = (await pruneServer(project.target, {})).map(({ name }) => name);

        expect(pruned.filter((name) => name.includes(key)).sort()).toEqual([old, unmarked].sort());
        const left = await project.sql<{ name: string }[]>`
          SELECT datname AS name FROM pg_database WHERE datname LIKE ${`%${key}%`} ORDER BY 1`;
        expect(left.map(({ name }) => name)).toEqual([commented, others, template, used, young].sort());
      } finally {
        await visitor.end();
        await project.sql.unsafe(`DROP DATABASE IF EXISTS ${commented}`);
        await project.sql.unsafe(`DROP DATABASE IF EXISTS ${others}`);
      }
    }),
  );

  it(
    'cannot be made by who may not, which is said',
    withKeys(async (project, keyOf) => {
      await keyOf();
      const user = await project.createUser();

      await expect(createClones(user.target, project.settings, 1)).rejects.toMatchObject({
        code: 'permission-denied',
        hint: expect.stringContaining('CREATEDB'),
      });
    }),
  );
});
