import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Sql, TransactionSql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import { isConnectionLost } from './explain-error.ts';

type Work = (sql: TransactionSql) => unknown;

/**
 * Makes `begin` of a handle of one connection survive its end. The driver's own sends a ROLLBACK into the socket that is
 * gone, where nobody can catch what is thrown; this one throws what `work` threw, when the connection has closed.
 * Savepoints are as safe, and what the driver cannot do there is done (notify) or refused (prepare).
 */
export function makeBeginSafe(sql: Sql, isOpen: () => boolean): void {
  const begin = sql.begin.bind(sql) as (mode: string, work: Work) => Promise<unknown>;
  const safe = async (mode: string | Work, given?: Work): Promise<unknown> => {
    const work = (typeof mode === 'string' ? given : mode) as Work;
    let broken: unknown;
    try {
      return await begin(typeof mode === 'string' ? mode : '', async (inner) => {
        try {
          return await work(withinTransaction(inner, isOpen));
        } catch (error) {
          if (!isGone(error, isOpen)) throw error;
          broken = error;
          // The driver ends `begin` when the connection closes.
          return new Promise(() => {});
        }
      });
    } catch (error) {
      if (isConnectionLost(error)) await nextTurn();
      throw broken ?? error;
    }
  };
  sql.begin = safe as Sql['begin'];
}

function isGone(error: unknown, isOpen: () => boolean): boolean {
  return !isOpen() || isConnectionLost(error instanceof EduschemaError ? error.cause : error);
}

/**
 * The driver's own `notify` would wait for ever, for the connection that the transaction has; and with `prepare`
 * nothing would be committed.
 */
function withinTransaction(sql: TransactionSql, isOpen: () => boolean): TransactionSql {
  const { savepoint } = sql;
  const use = (work: Work) => async (inner: TransactionSql) => {
    try {
      return await work(withinTransaction(inner, isOpen));
    } catch (error) {
      // It would roll back into the socket that is gone; `begin` ends when the connection closes.
      if (isGone(error, isOpen)) await new Promise(() => {});
      throw error;
    }
  };
  return Object.assign(sql, {
    notify: (channel: string, payload: string) => sql`SELECT pg_catalog.pg_notify(${channel}, ${payload})`,
    prepare: () => {
      throw new Error('PREPARE TRANSACTION is not possible here: COMMIT is left to eduschema');
    },
    savepoint: (name: string | Work, work?: Work) =>
      typeof name === 'string' ? savepoint(name, use(work as Work)) : savepoint(use(name)),
  }) as TransactionSql;
}
