import type { TransactionSql } from 'postgres';
import type { Session } from './connect.ts';

/** The session's `begin`, of which a COMMIT that did a ROLLBACK is an error. */
export async function inTransaction<T>(
  session: Pick<Session, 'sql' | 'tap'>,
  mode: string,
  work: (sql: TransactionSql) => Promise<T>,
): Promise<T> {
  const result = await session.sql.begin(mode, work);
  if (session.tap.lastTag !== 'COMMIT') throw new Error(`COMMIT was answered by ${session.tap.lastTag}`);
  return result as T;
}
