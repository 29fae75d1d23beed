import type { Sql } from 'postgres';
import { type LockHolder, lockKeyOf } from '../db/advisory-lock.ts';
import { isServerError } from '../db/explain-error.ts';
import { type QualifiedName, quoteIdentifier, quoteName } from '../db/identifiers.ts';

/** The lease stands beside the journal. */
export function leaseTable({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: `${name}_lease` };
}

/** Creates the table where it is missing. */
export async function prepareLeaseTable(sql: Sql, journal: QualifiedName): Promise<void> {
  const table = leaseTable(journal);
  // IF NOT EXISTS does not protect from a race.
  const { classId, objectId } = lockKeyOf(`creation of ${quoteName(table)}`);
  if (await exists(sql, table)) return;
  await sql
    .unsafe(`
    BEGIN;
    SELECT pg_catalog.pg_advisory_xact_lock(${classId}, ${objectId});
    ${journal.schema === 'public' ? '' : `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(journal.schema)};`}
    CREATE TABLE IF NOT EXISTS ${quoteName(table)} (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      token text NOT NULL,
      application text NOT NULL,
      "user" text NOT NULL DEFAULT session_user,
      host text NOT NULL,
      process integer NOT NULL,
      taken_at timestamp with time zone NOT NULL,
      beats_at timestamp with time zone NOT NULL,
      expires_at timestamp with time zone NOT NULL
    );
    COMMENT ON TABLE ${quoteName(table)} IS 'Who runs migrations through a pooler, written by eduschema';
    COMMIT`)
    .catch(async (error) => {
      await sql.unsafe('ROLLBACK').catch(() => {});
      throw error;
    });
}

async function exists(sql: Sql, table: QualifiedName): Promise<boolean> {
  const [found] = await sql<
    [{ there: boolean }]
  >`SELECT pg_catalog.to_regclass(${quoteName(table)}) IS NOT NULL AS there`;
  return found.there;
}

const workerPrefix = 'eduschema migration ';
const shownToken = 8;

/** `application_name` of the session that runs migrations: it shows that the runner with this lease is at work. */
export function workerNameOf(token: string): string {
  return workerPrefix + token.slice(0, shownToken);
}

/** SQL: that `a`, a row of pg_stat_activity, is a session that was lent to the runner of the lease `l`. */
const isLent = `a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND a.application_name = '${workerPrefix}' || left(l.token, ${shownToken})`;

/** SQL: that the session was silent in its transaction for longer than the lease lasts. */
const isSilent = `(a.state LIKE 'idle in transaction%'
    AND a.state_change < clock_timestamp() - (l.expires_at - l.beats_at))`;

/** SQL: that the session is in a transaction, as far as one sees who may see no more of it than its locks. */
const isBusy = `(a.state IS DISTINCT FROM 'idle' AND (a.state IS NOT NULL OR EXISTS (
    SELECT FROM pg_catalog.pg_locks v WHERE v.pid = a.pid AND v.locktype = 'virtualxid' AND v.granted)))`;

const sessionWhich = (condition: string) =>
  `(SELECT min(a.pid) FROM pg_catalog.pg_stat_activity a WHERE ${isLent} AND ${condition})`;

/** A session at work keeps a lease alive: where a pooler has one session only, renewing waits for its statement. */
const worker = sessionWhich(`${isBusy} AND ${isSilent} IS NOT TRUE`);
const silent = sessionWhich(isSilent);

/** SQL: whoever had the lease `l` is gone. It has expired, and nothing works for it; a silent session may be left. */
const isExpired = `(l.expires_at < clock_timestamp() AND ${worker} IS NULL)`;

/** SQL: the lease `l` may be taken. */
export const isAbandoned = `(${isExpired} AND ${silent} IS NULL)`;

/** A lease as it stands in its table. */
export interface FoundLease {
  readonly holder: LockHolder;
  /** Not renewed in time, and nothing is at work. */
  readonly expired: boolean;
  /** The pid of the session that is at work for it now. */
  readonly worker: number | null;
  /** The pid of a session that its runner left in a transaction, and has not been heard of since. */
  readonly silent: number | null;
  /** ISO 8601 in UTC. */
  readonly expiresAt: string;
}

/** The lease, if there is one; expired or not. */
export async function findLease(sql: Sql, journal: QualifiedName): Promise<FoundLease | undefined> {
  const table = leaseTable(journal);
  if (!(await exists(sql, table))) return undefined;
  const utc = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;
  const [row] = await sql.unsafe<(LockHolder & Omit<FoundLease, 'holder'>)[]>(`
    SELECT process AS pid, "user", application, host, ${utc('taken_at')} AS since,
           floor(extract(epoch FROM clock_timestamp() - beats_at))::int AS "beatSeconds",
           ${isExpired} AS expired, ${worker} AS worker, ${silent} AS silent, ${utc('expires_at')} AS "expiresAt"
    FROM ${quoteName(table)} l`);
  if (!row) return undefined;
  const { expired, expiresAt, worker: working, silent: left, ...holder } = row;
  return { holder, expired, expiresAt, worker: working, silent: left };
}

/**
 * Ends the session that a runner left in its transaction, and was silent for longer than its lease: what holds it up
 * could not be committed any more. False when there is none, or this user may not.
 */
export async function endSilentWorker(sql: Sql, journal: QualifiedName): Promise<boolean> {
  const table = leaseTable(journal);
  if (!(await exists(sql, table))) return false;
  try {
    const ended = await sql.unsafe(`
      SELECT pg_catalog.pg_terminate_backend(a.pid)
      FROM ${quoteName(table)} l JOIN pg_catalog.pg_stat_activity a ON ${isLent}
      WHERE ${isExpired} AND ${isSilent}`);
    return ended.length > 0;
  } catch (error) {
    if (isServerError(error) && error.code === '42501') return false;
    throw error;
  }
}

/** Removes a lease that has expired: whoever had it can record nothing more. True when there was one. */
export async function removeExpiredLease(sql: Sql, journal: QualifiedName): Promise<boolean> {
  const table = leaseTable(journal);
  if (!(await exists(sql, table))) return false;
  const removed = await sql.unsafe(`DELETE FROM ${quoteName(table)} l WHERE ${isAbandoned} RETURNING token`);
  return removed.length > 0;
}
