import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/index.ts';
import { startServer } from '../../src/testing.ts';
import { withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { withFolder } from '../helpers/folder.ts';
import { startProcess, until } from '../helpers/process.ts';
import { mountDisk } from '../helpers/small-disk.ts';
import { clone, countRows, type Library, withSeeds, wrongCounters } from './education.ts';

const tiny = '--materials 40 --downloads 200 --views 300 --dirty 10% --as-of 2026-11-01';

/** What is there before anything is seeded: categories and permissions come with the migrations. */
const nothing = {
  users: 0,
  materials: 0,
  tags: 0,
  material_tags: 0,
  user_permissions: 0,
  download_logs: 0,
  view_logs: 0,
};

/** A trigger that runs `body` before rows are written to a table, or to a partition of it. */
async function putInTheWay({ sql }: Library, table: string, body: string): Promise<() => Promise<void>> {
  await sql.unsafe(`
    CREATE FUNCTION in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; RETURN NULL; END $$;
    CREATE TRIGGER in_the_way BEFORE INSERT ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION in_the_way()`);
  return async () => {
    await sql.unsafe('DROP FUNCTION in_the_way CASCADE');
  };
}

const manifestOf = async ({ seed }: Library, line = tiny) => {
  const outcome = await seed(`${line} --json`);
  expect(outcome.json().error).toBeUndefined();
  return outcome.json().rows.map(({ table, rows, checksum }) => [table, rows, checksum]);
};

describe('eduschema seed that cannot', () => {
  it(
    'is killed in a table: nothing of it is there, and a rerun comes to what an undisturbed run comes to',
    withSeeds(async (library) => {
      const undisturbed = await manifestOf(library);
      await library.seed('--reset --yes');
      const tables = [
        'users',
        'user_permissions',
        'tags',
        'materials',
        'material_tags',
        'download_logs_2026_09',
        'view_logs_2026_10',
      ];

      for (const table of tables) {
        const remove = await putInTheWay(library, table, 'PERFORM pg_terminate_backend(pg_backend_pid())');
        const { exitCode, stderr } = await library.seed(tiny);
        expect([exitCode, stderr], table).toEqual([2, expect.stringContaining('the connection to')]);
        expect(await countRows(library.sql), table).toMatchObject(nothing);
        await remove();
      }
      expect(await library.sql`SELECT state FROM schema_versions_seeds`).toEqual([{ state: 'planned' }]);

      // The plan has the date; the keys are those that were reserved.
      expect(await manifestOf(library, '')).toEqual(undisturbed);
      expect(await wrongCounters(library.sql)).toEqual([]);
    }),
    300_000,
  );

  it(
    'is killed as a process: the next run waits for the server, and completes it',
    withSeeds(async (library) => {
      const remove = await putInTheWay(library, 'view_logs_2026_10', 'PERFORM pg_sleep(3)');
      const { child, ended } = startProcess(`seed ${tiny}`, clone, { DATABASE_URL: library.url });
      await until('it sleeps', async () => {
        const found =
          await library.sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
        return found.length > 0;
      });
      child.kill('SIGKILL');
      await ended;
      await remove().catch(() => {});

      const { exitCode, stderr } = await library.seed('');
      expect([exitCode, stderr]).toEqual([0, expect.anything()]);
      expect(await countRows(library.sql)).toMatchObject({
        materials: 40,
        download_logs: 200,
        view_logs: 300,
      });
    }),
    120_000,
  );

  it(
    'is interrupted: nothing is there, not even a plan, and keys are given back',
    withSeeds(async (library) => {
      const undisturbed = await manifestOf(library);
      await library.seed('--reset --yes');
      const remove = await putInTheWay(library, 'view_logs_2026_09', 'PERFORM pg_sleep(30)');
      let interrupt = () => {};
      const running = library.seed(tiny, { onStart: (press) => (interrupt = press) });
      await until('it sleeps', async () => {
        const found =
          await library.sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`;
        return found.length > 0;
      });
      interrupt();
      const { exitCode, stderr } = await running;
      await remove();

      expect(exitCode).toBe(130);
      expect(stderr).toContain('run the command again to go on');
      expect(await countRows(library.sql)).toMatchObject(nothing);
      expect(await library.sql`SELECT FROM schema_versions_seeds`).toHaveLength(0);
      expect(await library.sql`SELECT to_regclass('materials_old') AS old`).toEqual([{ old: null }]);
      expect(await manifestOf(library)).toEqual(undisturbed);
    }),
    120_000,
  );

  it(
    'runs twice at once: one works, the other finds it done',
    withSeeds(async (library) => {
      const both = await Promise.all([library.seed(tiny), library.seed(tiny)]);

      expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
      expect(both.filter(({ stdout }) => stdout.includes('nothing to do'))).toHaveLength(1);
      expect(await countRows(library.sql)).toMatchObject({
        materials: 40,
        download_logs: 200,
        view_logs: 300,
      });
    }),
    60_000,
  );

  it(
    'meets a schema that is not migrated, or not far enough',
    withDatabase(async ({ url }) => {
      const seed = () => eduschema(`seed ${tiny}`, { cwd: clone, env: { DATABASE_URL: url } });
      const none = await seed();
      await migrate({ url, directory: 'migrations' });
      await eduschema('rollback --to 1.4.0 --yes', { cwd: clone, env: { DATABASE_URL: url } });
      const behind = await seed();

      expect([none.exitCode, behind.exitCode]).toEqual([2, 2]);
      expect(none.stderr).toContain(
        'seeds/education.ts needs version 1.13.0 of the schema; no migration is applied',
      );
      expect(behind.stderr).toContain(
        'seeds/education.ts needs version 1.13.0 of the schema; the database is at 1.4.0',
      );
      expect(behind.stderr).toContain('run eduschema migrate first');
    }),
    60_000,
  );

  it(
    'meets a schema that is ahead: it fits, or the column is named',
    withSeeds(async (library) => {
      const { sql, seed } = library;
      await sql`INSERT INTO schema_versions (version, description) VALUES ('1.14.0', 'licences'), ('1.15.0', 'notes')`;
      await sql`ALTER TABLE materials ADD note text, ADD licence text NOT NULL`;
      const refused = await seed(tiny);

      expect(refused.exitCode).toBe(2);
      expect(refused.stderr).toContain(
        'the column licence of public.materials must have a value, and the seed has none for it (the database is at 1.15.0)',
      );
      await sql`ALTER TABLE materials ALTER licence SET DEFAULT 'own'`;
      await sql`ALTER TABLE materials RENAME file_size TO bytes`;
      expect((await seed(tiny)).stderr).toContain('the table public.materials has no column file_size');
      expect(await countRows(sql)).toMatchObject(nothing);

      await sql`ALTER TABLE materials RENAME bytes TO file_size`;
      expect((await seed(tiny)).exitCode).toBe(0);
    }),
    60_000,
  );

  it(
    'lacks a partition',
    withSeeds(async (library) => {
      const { sql, seed } = library;
      await sql`ALTER TABLE view_logs DETACH PARTITION view_logs_2026_10`;
      const { exitCode, stderr } = await seed(tiny);

      expect(exitCode).toBe(2);
      expect(stderr).toMatch(/public\.view_logs has no partition for 2026-\d\d-\d\dT/);
      expect(stderr).toContain('attach the one that was detached');
      expect(await countRows(sql)).toMatchObject(nothing);

      await sql`DROP TABLE view_logs_2026_10`;
      expect((await seed(tiny)).exitCode).toBe(0);
      expect(await sql`SELECT FROM view_logs_default`).toHaveLength(0);
    }),
    60_000,
  );

  it(
    'has no rights',
    withSeeds(async ({ sql, url, createUser, name }) => {
      const reader = await createUser();
      await sql.unsafe(`GRANT education_app TO ${reader.name}`);
      const as = new URL(reader.url);
      as.pathname = `/${name}`;
      const seed = () => eduschema(`seed ${tiny}`, { cwd: clone, env: { DATABASE_URL: as.href } });
      const first = await seed();
      // Somebody else made the journal.
      await eduschema('seed --reset --yes', { cwd: clone, env: { DATABASE_URL: url } });
      await sql.unsafe(`GRANT ALL ON schema_versions_seeds, schema_versions TO ${reader.name}`);
      const second = await seed();

      expect([first.exitCode, second.exitCode]).toEqual([2, 2]);
      expect(first.stderr).toContain('cannot create public.schema_versions_seeds (42501)');
      expect(second.stderr).toContain('permission denied');
      expect(second.stderr).toContain('--role');
      expect(await countRows(sql)).toMatchObject(nothing);
    }),
    60_000,
  );

  it(
    'is no superuser: row policies forbid COPY, and it goes another way to the same rows',
    withDatabase(async (database) => {
      const owner = await database.createUser('CREATEROLE');
      await database.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${owner.name}; ALTER DATABASE ${database.name} OWNER TO ${owner.name}`,
      );
      const url = new URL(owner.url);
      url.pathname = `/${database.name}`;
      await migrate({ url: url.href, directory: 'migrations' });
      const manifest = async (env: Record<string, string>) => {
        const { json, stdout } = await eduschema(`seed ${tiny} --json`, { cwd: clone, env });
        expect(json().error, stdout).toBeUndefined();
        return json().rows.map(({ table, rows, checksum }) => [table, rows, checksum]);
      };
      const own = await manifest({ DATABASE_URL: url.href });
      await eduschema('seed --reset --yes', { cwd: clone, env: { DATABASE_URL: url.href } });

      expect(await manifest({ DATABASE_URL: database.url })).toEqual(own);
      expect(
        await database.sql`SELECT count(*)::int AS n FROM audit_log WHERE table_name = 'materials' AND operation = 'INSERT'`,
      ).toEqual([{ n: 80 }]);
    }),
    120_000,
  );

  it(
    'has a value that a row of somebody else has',
    withSeeds(async ({ sql, seed }) => {
      await sql`INSERT INTO users (username, email) VALUES ('edu00001', 'b@example.com')`;
      const { exitCode, stderr } = await seed(tiny);

      expect(exitCode).toBe(2);
      expect(stderr).toContain('cannot write rows of public.users (23505)');
      expect(stderr).toContain('Key (username)=(edu00001) already exists.');
      expect(await countRows(sql)).toMatchObject({ ...nothing, users: 1 });
      await sql`DELETE FROM users`;
      expect((await seed(tiny)).exitCode).toBe(0);
    }),
    60_000,
  );

  it(
    'has no numbers left',
    withSeeds(async ({ sql, seed }) => {
      await sql`INSERT INTO materials (id, title) VALUES (9223372036854775790, 'last')`;
      const { exitCode, stderr } = await seed(tiny);

      expect(exitCode).toBe(2);
      expect(stderr).toContain(
        'public.materials has no 40 numbers left: its highest id is 9223372036854775790, its sequence ends at 9223372036854775807',
      );
      expect((await seed(tiny.replace('40', '17'))).exitCode).toBe(0);
      expect(await sql`SELECT max(id)::text AS last FROM materials`).toEqual([
        { last: '9223372036854775807' },
      ]);
    }),
    60_000,
  );

  it(
    'finds a table of the old tags that is not its own',
    withSeeds(async ({ sql, seed }) => {
      await sql`CREATE TABLE materials_old (id int, tags_string text)`;
      const { exitCode, stderr } = await seed(tiny);

      expect(exitCode).toBe(2);
      expect(stderr).toContain('there is a table materials_old already, and it is not one of ours');
      expect(
        await sql`SELECT to_regclass('materials_old') IS NOT NULL AS there, to_regclass('seeded_dirt') AS dirt`,
      ).toEqual([{ there: true, dirt: null }]);
    }),
    60_000,
  );

  it(
    'is told what cannot be meant',
    withSeeds(async ({ sql, seed }) => {
      const told: [line: string, message: string][] = [
        ['--downloads 10 --materials 0', '10 downloads and 60 views need a material, and there is none'],
        ['--downloads -1', 'downloads is "-1"; it must be a whole number from 0 to 1,000,000,000,000'],
        [
          '--materials 1 --downloads 1000000000001',
          'downloads is "1000000000001"; it must be a whole number from 0 to 1,000,000,000,000',
        ],
        ['--views 99999999999999999999', 'views is "99999999999999999999"; it must be a whole number'],
        [
          '--materials 3000000000',
          'materials is "3000000000"; it must be a whole number from 0 to 2,147,483,648',
        ],
        ['--days 0', 'days is "0"; it must be a whole number from 1 to 3,650'],
        ['--dirty 60%', 'dirty is "60%"; it must be a share from 0% to 50%'],
        ['--as-of yesterday', '--as-of is "yesterday", which is no date'],
        ['--seed 1.5', 'It must be a whole number'],
        ['--set pupils=3', 'no seed here has a parameter pupils'],
        ['--set pupils', 'It must be a name and a value'],
        ['--append', '--append does not say what to add'],
        ['--reset --materials 5', '--reset removes what was seeded, and takes no wishes for new rows'],
        ['nobody', 'there is no seed nobody in seeds/'],
      ];
      for (const [line, message] of told) {
        const { exitCode, stderr } = await seed(line);
        expect([exitCode, stderr], line).toEqual([2, expect.stringContaining(message)]);
      }

      expect((await seed('--reset')).stdout).toContain('nothing to do: nothing is seeded');
      expect(await countRows(sql)).toMatchObject(nothing);
      expect(await sql`SELECT last_value, is_called FROM download_logs_id_seq`).toEqual([
        { last_value: '1', is_called: false },
      ]);
    }),
    120_000,
  );

  it('meets a full disk: nothing is there, and with more room a rerun completes', async () => {
    await withFolder({}, async (folder) => {
      // Its own: the next checkpoint fails as well, and with it whatever another test does on the server.
      const server = await startServer();
      const admin = postgres(server.url, { max: 1, onnotice: () => {} });
      const disk = await mountDisk(admin, folder, '40m');
      const database = `full_disk_${process.pid}`;
      const { pathname, href } = Object.assign(new URL(server.url), { pathname: `/${database}` });
      try {
        // Without the right to mount a disk of that size nothing can be tested.
        if (!disk) return;
        await admin.unsafe(`CREATE TABLESPACE ${database} LOCATION '${disk.place}'`);
        await admin.unsafe(
          `CREATE DATABASE ${pathname.slice(1)} TEMPLATE template0 ENCODING 'UTF8' TABLESPACE ${database}`,
        );
        await migrate({ url: href, directory: 'migrations' });
        const line = 'seed --materials 40 --downloads 100 --views 150000 --as-of 2026-11-01';
        const full = await eduschema(line, { cwd: clone, env: { DATABASE_URL: href } });
        const sql = postgres(href, { max: 1 });
        const counts = await countRows(sql);
        disk.resize('300m');
        const again = await eduschema(line, { cwd: clone, env: { DATABASE_URL: href } });

        expect(full.exitCode).toBe(2);
        expect(full.stderr).toMatch(/cannot write rows of public\.\w+ \(53100\)/);
        expect(full.stderr).toContain('make room on the disk of the server');
        expect(counts).toMatchObject(nothing);
        expect(again.exitCode).toBe(0);
        expect(await wrongCounters(sql)).toEqual([]);
        await sql.end();
      } finally {
        await admin.unsafe(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
        await admin.unsafe(`DROP TABLESPACE IF EXISTS ${database}`);
        await admin.end();
        await server.stop();
        disk?.remove();
      }
    });
  }, 300_000);
});
