import { type LockKey, lockedBy, newLockKey } from '../db/advisory-lock.ts';
import { isServerError } from '../db/explain-error.ts';
import { EduschemaError } from '../errors.ts';

/** SQL by which the session of the migrations makes sure that its runner still has the turn. */
export interface TurnProof {
  /** Behind the guard, before the migration: remembers in the session that the turn was ours then. */
  readonly note: string;
  /**
   * Right before the journal is written. Fails when the turn is lost, unless nobody can have taken it: the session
   * has kept the guard since a moment at which the turn was ours.
   */
  readonly fence: string;
}

/**
 * The proof for a turn that a session holds by a lock. That session holds `token` as well, a lock of this run alone:
 * when it can be had, the session is gone. To try for it costs less than a look at pg_locks.
 */
export function proveByLock(token: LockKey): TurnProof {
  const lost = `pg_catalog.pg_try_advisory_xact_lock_shared(${token.classId}, ${token.objectId})`;
  // A lock, as a migration may reset every setting; what gives it up gives up the guard.
  const note = newLockKey();
  const kept = `EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE ${lockedBy(note)} AND l.pid = pg_catalog.pg_backend_pid())`;
  return {
    note: `SELECT pg_catalog.pg_advisory_lock(${note.classId}, ${note.objectId}) WHERE NOT ${lost}`,
    fence: `SELECT (CASE WHEN NOT ${lost} THEN '1' WHEN ${kept} THEN '1' ELSE '${lostText}' END)::pg_catalog.int4`,
  };
}

const lostText = 'eduschema: the turn is lost';

/**
 * SQL that fails when `query` finds nothing, and says that the turn is lost. Plain SQL has no RAISE, and plpgsql may be
 * missing: a text that is no number fails, and shows itself.
 */
export function failUnless(query: string): string {
  return `WITH held AS (${query})
    SELECT (CASE WHEN (SELECT count(*) FROM held) > 0 THEN '1' ELSE '${lostText}' END)::pg_catalog.int4`;
}

/** Whether the error comes from `failUnless`. */
export function saysTurnLost(error: unknown): boolean {
  const cause = error instanceof EduschemaError ? error.cause : error;
  return isServerError(cause) && cause.message.includes(lostText);
}
