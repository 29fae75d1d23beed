import type { Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import { describeCatalogue } from '../helpers/catalogue.ts';
import { withDatabase } from '../helpers/database.ts';
import { ensureIn, makeLogs, nameOf } from './logs.ts';

/** What the catalogue says of one partition, without its name. */
async function describeOne(sql: Sql, name: string): Promise<string[]> {
  const lines = await describeCatalogue(sql);
  return lines.flatMap((line) =>
    line.includes(name) && !line.startsWith('type')
      ? [line.replaceAll(name, 'it').replace(/bound .* of /, 'bound of ')]
      : [],
  );
}

const settings = (sql: Sql, name: string) => sql`
  SELECT c.relpersistence, c.relreplident, c.reloptions, t.reloptions AS toast, c.relrowsecurity, c.relforcerowsecurity,
         (SELECT json_agg(json_build_array(attname, nullif(attstattarget, -1), attoptions, attstorage, attcompression, attacl::text) ORDER BY attnum)
          FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) AS columns,
         (SELECT json_agg(json_build_array(pubname, attnames, rowfilter)) FROM (SELECT pubname, to_jsonb(p) -> 'attnames' AS attnames, to_jsonb(p) ->> 'rowfilter' AS rowfilter
          FROM pg_publication_tables p WHERE tablename = c.relname) x) AS publications,
         (SELECT json_agg(json_build_array(polname, polpermissive, polcmd, polroles::regrole[]::text, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) ORDER BY polname)
          FROM pg_policy WHERE polrelid = c.oid) AS policies
  FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = ${name}::regclass`;

describe('a new partition', () => {
  it(
    'is like its newest sibling: owner, rights, storage, replica identity, comments, row security, statistics, publication',
    withDatabase(async (test) => {
      const { sql } = test;
      const [owner, reader, writer] = [
        await test.createUser(),
        await test.createUser(),
        await test.createUser(),
      ];
      const version = Number((await sql`SHOW server_version_num`)[0]?.server_version_num);
      await makeLogs(sql, { from: -1, to: 0, more: ', size int, CHECK (size > 0)' });
      const newest = nameOf(0);
      await sql.unsafe(`
        ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${reader.name}, PUBLIC;
        GRANT CREATE ON SCHEMA public TO ${owner.name};
        CREATE STATISTICS logs_both ON id, size FROM logs;
        ALTER TABLE ${newest} OWNER TO ${owner.name};
        GRANT SELECT ON ${newest} TO ${reader.name} WITH GRANT OPTION;
        GRANT INSERT, UPDATE (note) ON ${newest} TO ${writer.name};
        REVOKE TRUNCATE ON ${newest} FROM ${owner.name};
        ALTER TABLE ${newest} SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, toast.autovacuum_enabled = false);
        ALTER TABLE ${newest} ALTER note SET STATISTICS 500, ALTER note SET (n_distinct = -0.5), ALTER note SET STORAGE EXTERNAL, ALTER note SET COMPRESSION pglz;
        ALTER TABLE ${newest} REPLICA IDENTITY USING INDEX ${newest}_pkey;
        ALTER TABLE ${newest} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY mine ON ${newest} AS RESTRICTIVE FOR UPDATE TO ${writer.name}, ${reader.name} USING (note = current_user) WITH CHECK (note IS NOT NULL);
        CREATE POLICY all_of_it ON ${newest} USING (true);
        COMMENT ON TABLE ${newest} IS E'It''s \\\\ theirs\n{"eduschema":{"restored":{}}}';
        COMMENT ON COLUMN ${newest}.note IS 'a note';
        CREATE PUBLICATION outward FOR TABLE ${newest}${version >= 150000 ? ' (id, at, note) WHERE (id > 5)' : ''};
        CREATE INDEX of_its_own ON ${newest} (size); CREATE TRIGGER own BEFORE UPDATE ON ${newest} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
        ALTER TABLE logs OWNER TO ${owner.name}`);
      const said: string[] = [];

      await ensureIn(
        test,
        { sources: { flags: { ahead: '1mo' } } },
        { onProgress: (event) => void (event.type === 'log' && said.push(event.message)) },
      );

      const made = nameOf(1);
      expect(await settings(sql, made)).toEqual(await settings(sql, newest));
      const own = /of_its_own|TRIGGER own|^statistics|^comment on table public.it:/;
      expect((await describeOne(sql, made)).filter((line) => !own.test(line))).toEqual(
        (await describeOne(sql, newest)).filter((line) => !own.test(line)),
      );
      expect(await sql`SELECT obj_description(${made}::regclass) AS comment`).toEqual([
        { comment: "It's \\ theirs" },
      ]);
      expect(said).toContain(
        `public.${newest} has what its parent did not give it, and new partitions will not have: index of_its_own, trigger own`,
      );
    }),
  );

  it.each(['FULL', 'NOTHING', 'DEFAULT'])('has the replica identity %s of its sibling', (identity) =>
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe(`ALTER TABLE ${nameOf(0)} REPLICA IDENTITY ${identity}`);

      await ensureIn(test);

      expect(
        await test.sql`SELECT DISTINCT relreplident FROM pg_class WHERE relispartition AND relkind = 'r'`,
      ).toHaveLength(1);
    })(),
  );

  it(
    'has the tablespace, the kind and the schema of its sibling, and what the parent computes, counts and refers to',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE SCHEMA parts; CREATE TABLE things (id int PRIMARY KEY);
        CREATE TABLE logs (id int GENERATED ALWAYS AS IDENTITY, gone int, thing int REFERENCES things ON DELETE CASCADE, at timestamptz NOT NULL, double int GENERATED ALWAYS AS (thing * 2) STORED) PARTITION BY RANGE (at);
        CREATE UNLOGGED TABLE parts.${nameOf(0)} PARTITION OF logs FOR VALUES FROM ('${nameOf(0).slice(5).replace('_', '-')}-01 00:00+09') TO ('${nameOf(1).slice(5).replace('_', '-')}-01 00:00+09');
        ALTER TABLE logs DROP COLUMN gone`);

      await ensureIn(test);
      await sql.unsafe(
        `INSERT INTO things VALUES (1); INSERT INTO logs (thing, at) SELECT 1, now() + n * interval '1 month' FROM generate_series(0, 3) n`,
      );

      expect(await sql`SELECT id, double, count(*) OVER ()::int AS of FROM logs ORDER BY id LIMIT 1`).toEqual(
        [{ id: 1, double: 2, of: 4 }],
      );
      expect(
        await sql`SELECT DISTINCT relpersistence, relnamespace::regnamespace::text FROM pg_class WHERE relispartition AND relkind = 'r'`,
      ).toEqual([{ relpersistence: 'u', relnamespace: 'parts' }]);
      await sql`DELETE FROM things`;
      expect(await sql`SELECT FROM logs`).toEqual([]);
    }),
  );

  it(
    'has every index of the parent as an index of its own that is attached, also where the parent is not whole',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0 });
      await test.sql.unsafe('CREATE INDEX half ON ONLY logs (id)');

      await ensureIn(test, { sources: { flags: { ahead: '1mo' } } });

      expect(
        await test.sql`SELECT inhparent::regclass::text AS parent, count(*)::int FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'i' GROUP BY 1 ORDER BY 1`,
      ).toEqual([
        { parent: 'half', count: 1 },
        { parent: 'logs_note', count: 2 },
        { parent: 'logs_pkey', count: 2 },
      ]);
    }),
  );
});
