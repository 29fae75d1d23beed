import type { Sql } from 'postgres';

/**
 * Asks the server about other sessions, in a session that works for somebody: as the user who logged in, who may
 * see and cancel his own sessions where the role that was set may not, and never for long, since whoever comes next
 * (Ctrl-C) waits for the answer. One message, so that the session is outside a transaction before and after it.
 */
export async function look<Row>(sql: Sql, query: string): Promise<Row[]> {
  const message = `SET LOCAL ROLE NONE; SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '3s'; ${query}`;
  const results = (await sql.unsafe(message)) as unknown as Row[][];
  return results.at(-1) as Row[];
}
