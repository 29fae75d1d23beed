import type { Sql } from 'postgres';

/**
 * Has the server end eduschema's working session within its statement of DDL number `count`, in whatever transaction that
 * is. Returns whether it came to that, and takes the trap away.
 */
export async function withKillAt(
  sql: Sql,
  count: number,
  work: () => Promise<unknown>,
): Promise<{ readonly killed: boolean }> {
  await sql.unsafe(`
    CREATE SCHEMA kills; CREATE SEQUENCE kills.seen; GRANT USAGE ON SCHEMA kills TO PUBLIC; GRANT ALL ON SEQUENCE kills.seen TO PUBLIC;
    CREATE FUNCTION kills.kill() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      IF current_setting('application_name') = 'eduschema worker' AND nextval('kills.seen') = ${count} THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
      END IF;
    END $$;
    CREATE EVENT TRIGGER kills ON ddl_command_end EXECUTE FUNCTION kills.kill()`);
  const failed = await work().then(
    () => false,
    () => true,
  );
  const [seen] = await sql`SELECT last_value >= ${count} AS enough FROM kills.seen`;
  await sql.unsafe('SET client_min_messages = warning; DROP EVENT TRIGGER kills; DROP SCHEMA kills CASCADE');
  if (failed !== Boolean(seen?.enough)) throw new Error('it failed for another reason than the kill');
  return { killed: failed };
}
