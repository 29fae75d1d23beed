import type { Sql } from 'postgres';

/**
 * Has what this session writes go to the disk as it comes, for the rest of the session, unless the server is told how
 * to go about it. Else the operating system collects gigabytes, and when a checkpoint asks for them, every commit of
 * others waits behind them for seconds. backend_flush_after is 0 by default, and anybody's to set.
 */
export async function writeEvenly(sql: Pick<Sql, 'unsafe'>): Promise<void> {
  await sql.unsafe(
    `SELECT pg_catalog.set_config(name, '512kB', false) FROM pg_catalog.pg_settings
     WHERE name = 'backend_flush_after' AND setting = '0'`,
  );
}
