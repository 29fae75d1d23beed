import type { Sql } from 'postgres';
import { hideLiterals } from '../sql/hide-literals.ts';
import { conflictTable, sameLock, showLockMode } from './lock-modes.ts';
import { look } from './look.ts';

/** A session, or a prepared transaction, that another session waits for. */
export interface Blocker {
  /** 0 for a prepared transaction, which has no session. */
  readonly pid: number;
  readonly kind:
    | 'session'
    | 'prepared transaction'
    | 'autovacuum'
    | 'autovacuum to prevent wraparound'
    | string;
  /** True when it waits for nobody itself: it is the reason, the others are merely in the queue. */
  readonly root: boolean;
  readonly user: string | null;
  readonly application: string | null;
  /** As pg_stat_activity says: `active`, `idle in transaction` ...; null when the server does not show it. */
  readonly state: string | null;
  /** Seconds since its state changed. */
  readonly stateSeconds: number | null;
  /** Seconds since its transaction began. */
  readonly transactionSeconds: number | null;
  /** As pg_locks names it: the one in conflict, which it holds, or waits for when it is no root. */
  readonly lockMode: string | null;
  /** The relation that the lock is on; null for locks on rows and transactions. */
  readonly relation: string | null;
  /** The name of a prepared transaction. */
  readonly preparedAs: string | null;
  /** When the session began: with the pid it says which session it is. */
  readonly backendStart: string | null;
  /** Its current or last statement, cut. */
  readonly query: string | null;
}

/** SQL that gives backend_start to the microsecond, whatever the session's DateStyle. */
export const exactStart = `to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** CTEs: `chain (pid)`, whoever `pid` waits for, by however many others; call with WITH RECURSIVE. */
export function chainOf(pid: number): string {
  return `chain (pid) AS (
    SELECT unnest(pg_blocking_pids(${pid}))
    UNION
    SELECT unnest(pg_blocking_pids(chain.pid)) FROM chain WHERE chain.pid <> 0)`;
}

const longestList = 50;

/** Everybody whom `pid` waits for, those first that wait for nobody themselves, the oldest transaction first. */
export async function listBlockers(sql: Sql, pid: number, hidesLiterals = false): Promise<Blocker[]> {
  const found = await look<Blocker>(
    sql,
    `WITH RECURSIVE ${chainOf(pid)},
    ${conflictTable},
    locks AS MATERIALIZED (SELECT * FROM pg_locks),
    edge AS MATERIALIZED (
      SELECT waiter.pid AS waiter, blocker.pid AS blocker
      FROM (SELECT ${pid} AS pid UNION SELECT pid FROM chain WHERE pid <> 0) AS waiter
      CROSS JOIN LATERAL unnest(pg_blocking_pids(waiter.pid)) AS blocker (pid)),
    held AS MATERIALIZED (
      SELECT edge.blocker, h.virtualtransaction, h.mode, w.relation,
             row_number() OVER (PARTITION BY edge.blocker, CASE WHEN h.pid IS NULL THEN h.virtualtransaction END
               ORDER BY edge.waiter = ${pid} DESC, h.granted DESC, w.locktype = 'relation' DESC, of_h.strength DESC) AS place,
             w.locktype = 'relation' AS shown
      FROM edge
      JOIN locks w ON w.pid = edge.waiter AND NOT w.granted
      JOIN locks h ON coalesce(h.pid, 0) = edge.blocker AND ${sameLock('h', 'w')}
      JOIN conflict ON conflict.mode = w.mode AND h.mode = ANY (conflict.against)
      JOIN conflict of_h ON of_h.mode = h.mode)
    SELECT chain.pid,
           CASE WHEN chain.pid = 0 THEN 'prepared transaction'
                WHEN a.backend_type = 'autovacuum worker' AND a.query LIKE '%to prevent wraparound%'
                  THEN 'autovacuum to prevent wraparound'
                WHEN a.backend_type = 'autovacuum worker' THEN 'autovacuum'
                WHEN a.pid IS NOT NULL AND a.usesysid IS NULL AND held.mode = 'ShareUpdateExclusiveLock'
                  THEN 'autovacuum'
                WHEN a.backend_type = 'client backend' OR a.usesysid IS NOT NULL THEN 'session'
                ELSE coalesce(a.backend_type, 'background process') END AS kind,
           NOT EXISTS (SELECT FROM edge WHERE edge.waiter = chain.pid) AS root,
           coalesce(a.usename, prepared.owner) AS "user",
           nullif(a.application_name, '') AS application,
           a.state,
           round(extract(epoch FROM clock_timestamp() - a.state_change))::int AS "stateSeconds",
           round(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, prepared.prepared)))::int AS "transactionSeconds",
           CASE WHEN held.shown THEN held.mode END AS "lockMode",
           CASE WHEN held.shown THEN held.relation::regclass::text END AS relation,
           prepared.gid AS "preparedAs",
           ${exactStart} AS "backendStart",
           nullif(a.query, '<insufficient privilege>') AS query
    FROM chain
    LEFT JOIN pg_stat_activity a ON a.pid = chain.pid
    LEFT JOIN held ON held.blocker = chain.pid AND held.place = 1
    LEFT JOIN locks own ON chain.pid = 0 AND own.pid IS NULL AND own.locktype = 'transactionid'
      AND own.virtualtransaction = held.virtualtransaction
    LEFT JOIN pg_prepared_xacts prepared ON prepared.transaction = own.transactionid
    WHERE chain.pid <> pg_backend_pid()
    ORDER BY root DESC, coalesce(a.xact_start, prepared.prepared), chain.pid
    LIMIT ${longestList}`,
  );
  return found.map((blocker) => ({ ...blocker, query: shownQuery(blocker.query, hidesLiterals) }));
}

const longestQuery = 80;

/** Whoever sets a password does not want it in a log. */
function shownQuery(query: string | null, hidesLiterals: boolean): string | null {
  if (!query) return null;
  const shown = hidesLiterals || /password/i.test(query) ? hideLiterals(query) : query;
  return shown.replace(/\s+/g, ' ').trim().slice(0, longestQuery);
}

/** `pid 4711 (shop, user anna, idle in transaction, for 93 s, holds ACCESS SHARE on t): UPDATE materials SET ...`. */
export function describeBlocker(blocker: Blocker): string {
  const { pid, kind, root, user, application, state, transactionSeconds, lockMode, relation, query } =
    blocker;
  const lock = lockMode && relation ? `${showLockMode(lockMode)} on ${relation}` : undefined;
  const known = [
    kind !== 'session' && kind !== 'prepared transaction' && kind,
    application,
    user && `user ${user}`,
    state,
    transactionSeconds !== null && `for ${transactionSeconds} s`,
    root ? lock && `holds ${lock}` : lock ? `waits itself for ${lock}` : 'waits itself',
  ].filter(Boolean);
  const name = pid === 0 ? `prepared transaction ${blocker.preparedAs ?? ''}`.trim() : `pid ${pid}`;
  return `${name}${known.length > 0 ? ` (${known.join(', ')})` : ''}${query ? `: ${query}` : ''}`;
}

/** What ends a blocker of a kind that does not end by itself, as a hint; undefined for the usual ones. */
export function adviceOn({ kind, preparedAs }: Blocker): string | undefined {
  if (kind === 'prepared transaction')
    return `it stays until somebody says COMMIT PREPARED or ROLLBACK PREPARED '${preparedAs ?? '...'}'`;
  if (kind === 'autovacuum to prevent wraparound')
    return 'it does not give way, and would start again: let it finish';
  return undefined;
}
