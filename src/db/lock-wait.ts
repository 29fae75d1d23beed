import type { Sql } from 'postgres';
import { quoteLiteral } from './identifiers.ts';
import { conflictTable, sameLock } from './lock-modes.ts';
import { look } from './look.ts';

/** What a session does at this moment. */
export interface Activity {
  /** Whether it waits for a lock. */
  readonly waits: boolean;
  /** Seconds since its statement began; null between statements. */
  readonly statementSeconds: number | null;
}

/** What the session `pid` does; undefined when there is none. Takes no lock of the lock manager. */
export async function readActivity(sql: Sql, pid: number): Promise<Activity | undefined> {
  const [activity] = await look<Activity>(
    sql,
    `SELECT coalesce(wait_event_type = 'Lock', false) AS waits,
            CASE WHEN state <> 'active' THEN NULL
                 ELSE extract(epoch FROM clock_timestamp() - query_start)::float8 END AS "statementSeconds"
     FROM pg_stat_activity WHERE pid = ${pid}`,
  );
  return activity;
}

/** A lock that a session waits for. */
export interface LockWait {
  /** Of a relation; null for locks on rows and transactions. */
  readonly relationId: number | null;
  readonly relation: string | null;
  /** As pg_locks names it. */
  readonly mode: string;
  /** Says which transaction waits: the next one of the session has another. */
  readonly transaction: string;
  /** Sessions that wait behind this one: for a lock that it holds, or is ahead of them for. */
  readonly queued: number;
  /** The server's deadlock_timeout: whoever waits so long for an ordinary autovacuum makes it give way. */
  readonly deadlockTimeoutMs: number;
}

/** The lock that the session `pid` waits for, if it does. */
export async function findLockWait(sql: Sql, pid: number): Promise<LockWait | undefined> {
  const [wait] = await look<LockWait>(
    sql,
    `WITH ${conflictTable}, locks AS MATERIALIZED (SELECT * FROM pg_locks)
     SELECT own.relation AS "relationId", own.relation::regclass::text AS relation, own.mode,
            own.virtualtransaction AS transaction,
            (SELECT count(DISTINCT q.pid)::int
             FROM locks mine
             JOIN conflict USING (mode)
             JOIN locks q ON NOT q.granted AND q.pid <> mine.pid AND ${sameLock('q', 'mine')}
               AND q.mode = ANY (conflict.against) AND (mine.granted OR q.waitstart > mine.waitstart)
             WHERE mine.pid = ${pid}) AS queued,
            (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::int AS "deadlockTimeoutMs"
     FROM locks own WHERE own.pid = ${pid} AND NOT own.granted LIMIT 1`,
  );
  return wait;
}

/**
 * Cancels the statement of the session `pid` if the same transaction still waits for a lock, and says whether it did.
 * What the session is sent after the answer is not cancelled.
 */
export async function cancelWaiting(sql: Sql, pid: number, transaction: string): Promise<boolean> {
  const rows = await look<{ cancelled: boolean }>(
    sql,
    `SELECT pg_cancel_backend(pid) AS cancelled
     FROM (SELECT DISTINCT pid FROM pg_locks
           WHERE pid = ${pid} AND NOT granted AND virtualtransaction = ${quoteLiteral(transaction)}) AS waiting`,
  );
  return rows.some(({ cancelled }) => cancelled);
}

/**
 * The age in seconds of the oldest transaction that holds a lock in the way of `wait`; 0 without one. An ordinary
 * autovacuum does not count: it gives way to those who queue, and to nobody else.
 */
export async function oldestHolder(sql: Sql, { relationId, mode }: LockWait): Promise<number> {
  if (relationId === null) return 0;
  const [oldest] = await look<{ seconds: number | null }>(
    sql,
    `WITH ${conflictTable}
     SELECT max(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)))::float8 AS seconds
     FROM pg_locks h
     JOIN conflict ON conflict.mode = ${quoteLiteral(mode)} AND h.mode = ANY (conflict.against)
     LEFT JOIN pg_stat_activity a ON a.pid = h.pid
     LEFT JOIN pg_locks own ON h.pid IS NULL AND own.pid IS NULL AND own.locktype = 'transactionid'
       AND own.virtualtransaction = h.virtualtransaction
     LEFT JOIN pg_prepared_xacts p ON p.transaction = own.transactionid
     WHERE h.locktype = 'relation' AND h.relation = ${relationId} AND h.granted
       AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (a.backend_type IS DISTINCT FROM 'autovacuum worker' OR a.query LIKE '%to prevent wraparound%')`,
  );
  return oldest?.seconds ?? 0;
}
