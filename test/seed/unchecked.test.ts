import { describe, expect, it } from 'vitest';
import { migrate } from '../../src/index.ts';
import { withDatabase } from '../helpers/database.ts';
import { eduschema } from '../helpers/eduschema.ts';
import { clone, few, withSeeds, wrongCounters } from './education.ts';

/** Rows whose foreign key refers to nothing. */
const orphans = `SELECT l.id FROM view_logs l LEFT JOIN materials m ON m.id = material_id WHERE m.id IS NULL
                 UNION ALL SELECT l.id FROM download_logs l LEFT JOIN materials m ON m.id = material_id WHERE m.id IS NULL`;

/** Notes, as the rows of a partition come, whether the session passes foreign keys over. */
const note = `
  CREATE TABLE noted (role text);
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO noted VALUES (current_setting('session_replication_role')); RETURN NULL; END $$;
  CREATE TRIGGER note AFTER INSERT ON view_logs_2026_10 FOR EACH STATEMENT EXECUTE FUNCTION note()`;

describe('foreign keys of logs', () => {
  it(
    'are right, and guarded as ever afterwards',
    withSeeds(async ({ sql, seed }) => {
      expect((await seed()).exitCode).toBe(0);
      expect((await seed('--append --downloads 900')).exitCode).toBe(0);

      expect(await sql.unsafe(orphans)).toEqual([]);
      expect(await wrongCounters(sql)).toEqual([]);
      await expect(sql`INSERT INTO view_logs (material_id) VALUES (999999)`).rejects.toMatchObject({
        code: '23503',
      });
      const [gone] =
        await sql`DELETE FROM materials WHERE id = (SELECT max(material_id) FROM view_logs) RETURNING id`;
      expect(await sql`SELECT FROM view_logs WHERE material_id = ${gone?.id}`).toEqual([]);
    }),
    60_000,
  );

  it(
    'are looked at row by row when a material is missing, and the row is refused',
    withSeeds(async ({ sql, seed }) => {
      // Of rows that never came about nobody can be told.
      await sql.unsafe(`
        CREATE FUNCTION drop_some() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN IF NEW.id % 10 = 3 THEN RETURN NULL; END IF; RETURN NEW; END $$;
        CREATE TRIGGER drop_some BEFORE INSERT ON materials FOR EACH ROW EXECUTE FUNCTION drop_some();
        ALTER TABLE material_tags DROP CONSTRAINT material_tags_material_id_fkey`);
      const { exitCode, stderr } = await seed();

      expect(exitCode).toBe(2);
      expect(stderr).toContain('cannot write rows of public.download_logs (23503)');
      expect(await sql`SELECT FROM materials`).toHaveLength(0);
    }),
    60_000,
  );

  it(
    'are looked at when a material of an earlier run was removed since',
    withSeeds(async ({ sql, seed }) => {
      await seed();
      await sql`DELETE FROM materials WHERE id = (SELECT material_id FROM view_logs GROUP BY 1 ORDER BY count(*) DESC LIMIT 1)`;
      const { exitCode, stderr } = await seed('--append --downloads 3000');

      expect([exitCode, stderr]).toEqual([2, expect.stringContaining('(23503)')]);
      expect(await sql.unsafe(orphans)).toEqual([]);
    }),
    60_000,
  );

  it(
    'are looked at where a trigger wants to know of the rows: it fires, and is not passed over',
    withSeeds(async ({ sql, seed }) => {
      await sql.unsafe(note);

      expect((await seed(few)).exitCode).toBe(0);
      const noted = await sql`SELECT DISTINCT role FROM noted`;
      expect(noted).toEqual([{ role: 'origin' }]);
    }),
    60_000,
  );

  it(
    'are looked at for a role that may not switch that off, and come to the same',
    withDatabase(async (database) => {
      const owner = await database.createUser('CREATEROLE');
      await database.sql.unsafe(
        `GRANT ALL ON SCHEMA public TO ${owner.name}; ALTER DATABASE ${database.name} OWNER TO ${owner.name}`,
      );
      const url = Object.assign(new URL(owner.url), { pathname: `/${database.name}` }).href;
      await migrate({ url, directory: 'migrations' });
      const { exitCode } = await eduschema(`seed ${few}`, { cwd: clone, env: { DATABASE_URL: url } });

      expect(exitCode).toBe(0);
      expect(await database.sql.unsafe(orphans)).toEqual([]);
    }),
    60_000,
  );
});
