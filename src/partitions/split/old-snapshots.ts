import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import type { QualifiedName } from '../../db/identifiers.ts';
import { defaultLockDeadlineSeconds } from '../../db/lock-settings.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';

interface OldSnapshot {
  readonly pid: number;
  /** Which of the session's transactions it is. */
  readonly transaction: string;
  readonly user: string | null;
  readonly application: string | null;
  readonly seconds: number | null;
}

/**
 * Waits until nobody sees the database as it was before the transaction `copied`: in such a snapshot (of REPEATABLE READ,
 * or of a statement under way) the new table has no rows yet. Whoever has read the old one holds a lock, for which the
 * swap waits anyway; whoever has not would find nothing. As CREATE INDEX CONCURRENTLY does, it waits for those that are
 * there now, and for nobody who comes later. Throws `transaction-open` when that takes too long.
 */
export async function waitForOldSnapshots(
  worker: Worker,
  table: QualifiedName,
  copied: string,
  { lockDeadlineSeconds = defaultLockDeadlineSeconds, signal, onProgress }: WorkSettings,
): Promise<void> {
  const { sql } = worker.session;
  const until = performance.now() + lockDeadlineSeconds * 1000;
  let left = await listSnapshots(sql, copied);
  for (let told = false; left.length > 0; told = true) {
    const who = left.map(describe).join(', ');
    if (performance.now() > until)
      throw new EduschemaError(
        'transaction-open',
        `transactions are open that began before the rows of ${shown(table)} were copied, and would not see them: ${who}`,
        { hint: 'everything else is done: run the command again when they are at their end' },
      );
    if (!told)
      onProgress?.({
        type: 'log',
        message: `waiting for transactions that began before the copy was done: ${who}`,
      });
    await sleep(100, undefined, signal ? { signal } : {});
    const now = new Set((await listSnapshots(sql, copied)).map(({ transaction }) => transaction));
    left = left.filter(({ transaction }) => now.has(transaction));
  }
}

function listSnapshots(sql: Sql, copied: string): Promise<OldSnapshot[]> {
  return sql.unsafe<OldSnapshot[]>(
    `SELECT a.pid, l.virtualxid AS transaction, a.usename AS user, nullif(a.application_name, '') AS application,
            extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS seconds
     FROM pg_catalog.pg_stat_activity a
     JOIN pg_catalog.pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
     WHERE a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend'
       AND a.pid <> pg_catalog.pg_backend_pid() AND pg_catalog.age(a.backend_xmin) > pg_catalog.age('${copied}'::xid8::xid)
     ORDER BY a.pid`,
  );
}

const describe = ({ pid, user, application, seconds }: OldSnapshot) =>
  `pid ${pid} (${[application, user && `user ${user}`, seconds !== null && `for ${Math.round(seconds)} s`].filter(Boolean).join(', ')})`;
