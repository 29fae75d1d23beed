import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';

/** A transaction that is open, by the session that it is in. */
export interface OpenTransaction {
  readonly id: string;
  readonly pid: number;
  readonly application: string | null;
}

export interface TransactionWait {
  /** Sessions that are not waited for: our own. */
  readonly except: readonly number[];
  readonly deadlineSeconds: number;
  readonly signal?: AbortSignal | undefined;
  /** Told once, when some are still open after a moment. */
  readonly onWait?: ((transactions: readonly OpenTransaction[]) => void) | undefined;
}

const quietMs = 1000;
const pollMs = 50;

/**
 * Transactions of this database that may have a snapshot, as SQL. Each has a lock on its own virtual id, which everybody
 * may see, of other users' sessions too: https://www.postgresql.org/docs/current/view-pg-locks.html
 */
export const openTransactions = `
  SELECT l.virtualxid AS id, l.pid, a.application_name AS application
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND a.datname = current_database()
    AND l.pid <> pg_backend_pid() AND a.backend_type IS DISTINCT FROM 'autovacuum worker'`;

/**
 * Waits until every transaction that is open now has ended, so that no snapshot is older than this moment. Holds no lock
 * meanwhile. Throws `database-error`, naming their sessions, when it takes longer than the deadline.
 */
export async function waitForTransactions(sql: Sql, wait: TransactionWait): Promise<void> {
  const ask = () => sql.unsafe<OpenTransaction[]>(openTransactions);
  const begun = performance.now();
  let left = (await ask()).filter(({ pid }) => !wait.except.includes(pid));
  for (let told = false; left.length > 0; ) {
    wait.signal?.throwIfAborted();
    const waited = performance.now() - begun;
    if (waited > wait.deadlineSeconds * 1000) throw stillOpen(left, wait.deadlineSeconds);
    if (!told && waited > quietMs) {
      told = true;
      wait.onWait?.(left);
    }
    await sleep(pollMs, undefined, wait.signal ? { signal: wait.signal } : {});
    const now = new Set((await ask()).map(({ id }) => id));
    left = left.filter(({ id }) => now.has(id));
  }
}

/** `pid 4711 (shop)`, five at most. */
export function describeTransactions(transactions: readonly OpenTransaction[]): string {
  const shown = transactions
    .slice(0, 5)
    .map(({ pid, application }) => (application ? `pid ${pid} (${application})` : `pid ${pid}`));
  const more = transactions.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ');
}

function stillOpen(left: readonly OpenTransaction[], seconds: number): EduschemaError {
  return new EduschemaError(
    'database-error',
    `transactions that began before are still open after ${seconds} s: ${describeTransactions(left)}`,
    {
      hint: 'wait until they have ended, or end them, and run the command again; it goes on',
      details: { transactions: left },
    },
  );
}
