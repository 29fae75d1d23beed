import { describe, expect, it } from 'vitest';
import { withDatabase as open } from '../../src/db/connect.ts';
import { resolveTarget } from '../../src/db/resolve-target.ts';
import type { Target } from '../../src/db/target.ts';
import type { MigrationSettings } from '../../src/migrations/settings.ts';
import { type FoundDatabase, markStatement } from '../../src/testdb/databases.ts';
import { templateKey } from '../../src/testdb/key.ts';
import { newName } from '../../src/testdb/names.ts';
import { createClones, dropClones, listOnServer, pruneServer } from '../../src/testdb/testdb.ts';
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
      const key = await templateKey(project.settings, '');
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
      for (const settings of more) keys.push(await templateKey(settings, ''));
      keys.push(await templateKey(project.settings, 'seed 1'));

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
      const key = await templateKey(project.settings, seeding.key);
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
