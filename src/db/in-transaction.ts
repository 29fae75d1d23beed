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
        result = await work(withinTransaction(sql));
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

/**
 * The driver's own `notify` would wait for ever, for the connection that the transaction has; and with `prepare`
 * nothing would be committed.
 */
function withinTransaction(sql: TransactionSql): TransactionSql {
  const { savepoint } = sql;
  const use = (work: SavepointWork) => async (inner: TransactionSql) => {
    try {
      return await work(withinTransaction(inner));
    } catch (error) {
      // It would roll back into the socket that is gone; `begin` ends when the connection closes.
      if (isConnectionLost(error instanceof EduschemaError ? error.cause : error))
        await new Promise(() => {});
      throw error;
    }
  };
  return Object.assign(sql, {
    notify: (channel: string, payload: string) => sql`SELECT pg_catalog.pg_notify(${channel}, ${payload})`,
    prepare: () => {
      throw new Error('PREPARE TRANSACTION is not possible here: COMMIT is left to eduschema');
    },
    savepoint: (name: string | SavepointWork, work?: SavepointWork) =>
      typeof name === 'string' ? savepoint(name, use(work as SavepointWork)) : savepoint(use(name)),
  }) as TransactionSql;
}

type SavepointWork = (sql: TransactionSql) => unknown;
