import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import type { TestDatabase } from './database.ts';

/** Another session, of an application. */
export interface Client {
  readonly sql: Sql;
  readonly pid: number;
  /** Begins a transaction that stays open; `statement` goes on in it. Returns what becomes of it: nothing, or its error. */
  begin(statement: string): Promise<{ running: Promise<unknown> }>;
  /** Whether the server still has the session. */
  lives(): Promise<boolean>;
}

/** One more session on the test's database, with an `application_name`, and of `sql` when that is given. */
export async function openClient(
  { connect, sql: admin }: TestDatabase,
  application: string,
  sql: Sql = connect({ max: 1, connection: { application_name: application } }),
): Promise<Client> {
  await sql`SELECT set_config('application_name', ${application}, false)`;
  const [{ pid }] = await sql<[{ pid: number }]>`SELECT pg_backend_pid() AS pid`;
  return {
    sql,
    pid,
    async begin(statement) {
      await sql.unsafe('BEGIN');
      const running = sql.unsafe(statement).then(
        () => undefined,
        (error) => error,
      );
      await Promise.race([running, sleep(150)]);
      return { running };
    },
    lives: async () => (await admin`SELECT FROM pg_stat_activity WHERE pid = ${pid}`).length > 0,
  };
}
