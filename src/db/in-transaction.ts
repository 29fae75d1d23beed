import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TransactionSql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import type { Session } from './connect.ts';
import { isConnectionLost } from './explain-error.ts';

/**
 * The driver's `begin`, with two faults of it made good: when the connection breaks, it sends a ROLLBACK into the
 * socket that is gone, which ends the process; and a COMMIT that did a ROLLBACK is no error to it.
 */
export async function inTransaction<T>(
  session: Pick<Session, 'sql' | 'tap' | 'isOpen'>,
  mode: string,
  work: (sql: TransactionSql) => Promise<T>,
): Promise<T> {
  let broken: unknown;
  let result: T | undefined;
  try {
    await session.sql.begin(mode, async (sql) => {
      try {
        result = await work(sql);
      } catch (error) {
        const cause = error instanceof EduschemaError ? error.cause : error;
        if (session.isOpen() && !isConnectionLost(cause)) throw error;
        broken = error;
        // The driver ends `begin` when the connection closes.
        await new Promise(() => {});
      }
    });
  } catch (error) {
    if (isConnectionLost(error)) await nextTurn();
    throw broken ?? error;
  }
  if (session.tap.lastTag !== 'COMMIT') throw new Error(`COMMIT was answered by ${session.tap.lastTag}`);
  return result as T;
}
