import type { Sql } from 'postgres';
import { type Blocker, chainOf, exactStart } from './blockers.ts';
import { isServerError } from './explain-error.ts';
import { quoteLiteral } from './identifiers.ts';
import { look } from './look.ts';

/** What came of trying to end a session. */
export interface Termination {
  readonly blocker: Blocker;
  /** Why it was not ended; undefined when it was. */
  readonly denied: string | undefined;
}

/**
 * Ends those of `blockers` that `pid` waits for and that wait for nobody, but sit idle in their transaction since
 * `seconds` or longer. Never a session of another database, of a superuser (unless we are one), of replication, or of
 * eduschema. All of that is asked again by the statement that ends the session, and that it is the same session.
 */
export async function terminateIdle(
  sql: Sql,
  pid: number,
  blockers: readonly Blocker[],
  seconds: number,
): Promise<Termination[]> {
  const done: Termination[] = [];
  for (const blocker of blockers) {
    if (!blocker.root || blocker.kind !== 'session') continue;
    if (blocker.state === null) {
      done.push({ blocker, denied: 'its state is not shown to us: that takes pg_read_all_stats' });
      continue;
    }
    if (!blocker.state.startsWith('idle in transaction') || (blocker.stateSeconds ?? 0) + 1 < seconds)
      continue;
    try {
      if (await terminate(sql, pid, blocker, seconds)) done.push({ blocker, denied: undefined });
    } catch (error) {
      if (!isServerError(error) || error.code !== '42501') throw error;
      done.push({ blocker, denied: `${error.message}: that takes pg_signal_backend` });
    }
  }
  return done;
}

/** pg_cancel_backend would change nothing: the session runs no statement. */
async function terminate(sql: Sql, pid: number, blocker: Blocker, seconds: number): Promise<boolean> {
  const rows = await look<{ ended: boolean }>(
    sql,
    `WITH RECURSIVE ${chainOf(pid)}
     SELECT pg_terminate_backend(a.pid) AS ended
     FROM pg_stat_activity a
     JOIN pg_roles r ON r.oid = a.usesysid
     WHERE a.pid = ${blocker.pid}
       AND ${exactStart} = ${quoteLiteral(blocker.backendStart ?? '')}
       AND a.pid IN (SELECT pid FROM chain) AND cardinality(pg_blocking_pids(a.pid)) = 0
       AND a.state IN ('idle in transaction', 'idle in transaction (aborted)')
       AND a.state_change <= clock_timestamp() - make_interval(secs => ${seconds})
       AND a.datname = current_database() AND a.backend_type = 'client backend'
       AND a.application_name NOT LIKE 'eduschema%' AND a.pid <> pg_backend_pid()
       AND (NOT r.rolsuper OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))`,
  );
  return rows.some(({ ended }) => ended);
}
