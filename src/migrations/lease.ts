import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Sql } from 'postgres';
import { type LockHolder, lockKeyOf } from '../db/advisory-lock.ts';
import { isServerError } from '../db/explain-error.ts';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';

/** The turn of a runner behind a pooler: a row that it must renew, as it has no session that could hold a lock. */
export interface Lease {
  /** `application_name` of the session that runs migrations: it shows that this runner is at work. */
  readonly workerName: string;
  /** SQL that fails when the lease is no longer ours. Locks nothing. */
  readonly check: string;
  /**
   * SQL for the end of a transaction: fails when the lease is no longer ours, and otherwise keeps it so until COMMIT.
   * Renewing waits for it, so COMMIT must follow at once.
   */
  readonly fence: string;
  /** Whether a renewal has found it gone. */
  isLost(): boolean;
  /** Renews it, now and from time to time, until `release`. */
  keep(): void;
  /** Whether it is ours, by the server's word. */
  isOurs(): Promise<boolean>;
  release(): Promise<void>;
}

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

/**
 * SQL: whoever had the lease is gone. It has expired, and no session works for it: where a pooler has one session
 * only, renewing waits for the statement under way, and a killed runner's statement goes on in the server.
 */
const isAbandoned = (lease: string) =>
  `(${lease}.expires_at < clock_timestamp() AND ${workerOf(lease)} IS NULL)`;

const workerPrefix = 'eduschema migration ';
const shownToken = 8;

const workerOf = (lease: string) => `(
  SELECT min(a.pid) FROM pg_catalog.pg_stat_activity a
  WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state <> 'idle'
    AND a.application_name = '${workerPrefix}' || left(${lease}.token, ${shownToken}))`;

const lostText = 'eduschema: the lease is lost';

/** Takes the lease when nobody has it, or who has it let it expire; undefined when somebody has it. The table must exist. */
export async function takeLease(
  sql: Sql,
  journal: QualifiedName,
  seconds: number,
): Promise<Lease | undefined> {
  const table = quoteName(leaseTable(journal));
  const token = randomBytes(16).toString('hex');
  const times = `clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '${seconds} s'`;
  const taken = await sql.unsafe(`
    INSERT INTO ${table} AS l (token, application, host, process, taken_at, beats_at, expires_at)
    VALUES ('${token}', 'eduschema', ${quoteLiteral(hostname())}, ${process.pid}, ${times})
    ON CONFLICT (one) DO UPDATE SET token = EXCLUDED.token, application = EXCLUDED.application,
      "user" = EXCLUDED."user", host = EXCLUDED.host, process = EXCLUDED.process, taken_at = EXCLUDED.taken_at,
      beats_at = EXCLUDED.beats_at, expires_at = EXCLUDED.expires_at
    WHERE ${isAbandoned('l')}
    RETURNING token`);
  if (taken.length === 0) return undefined;
  const renew = `UPDATE ${table} SET beats_at = pg_catalog.clock_timestamp(),
    expires_at = pg_catalog.clock_timestamp() + interval '${seconds} s' WHERE token = '${token}' RETURNING token`;
  const held = `SELECT token FROM ${table} WHERE token = '${token}'`;
  let lost = false;
  let timer: NodeJS.Timeout | undefined;
  let underWay = false;
  const beat = async () => {
    if (underWay) return;
    underWay = true;
    // A broken connection is seen elsewhere.
    const renewed = await sql.unsafe(renew).catch(() => undefined);
    underWay = false;
    if (renewed?.length === 0) lost = true;
  };
  return {
    workerName: workerPrefix + token.slice(0, shownToken),
    check: failUnless(held),
    fence: failUnless(renew),
    isLost: () => lost,
    keep() {
      timer = setInterval(() => void beat(), (seconds * 1000) / 6);
    },
    async isOurs() {
      lost ||= (await sql.unsafe(renew)).length === 0;
      return !lost;
    },
    async release() {
      clearInterval(timer);
      // The connection may be gone; the lease then expires.
      await sql.unsafe(`DELETE FROM ${table} WHERE token = '${token}'`).catch(() => {});
    },
  };
}

/** The SQL that ends a transaction of a runner whose turn a lease holds. */
export function fenceOf({ lease }: { readonly lease: Lease | undefined }): string[] {
  return lease ? [lease.fence] : [];
}

/** Plain SQL has no RAISE, and plpgsql may be missing: a text that is no number fails, and says why. */
function failUnless(query: string): string {
  return `WITH held AS (${query})
    SELECT (CASE WHEN (SELECT count(*) FROM held) = 1 THEN '1' ELSE '${lostText}' END)::pg_catalog.int4`;
}

/** The error for a lease that was lost, where `error` comes from its check; otherwise `error`. */
export function explainLostLease(error: unknown): unknown {
  const cause = error instanceof EduschemaError ? error.cause : error;
  return isServerError(cause) && cause.message.includes(lostText) ? leaseLost(cause) : error;
}

/** The error for a runner that was silent for so long that another one has taken its place. */
export function leaseLost(cause?: unknown): EduschemaError {
  return new EduschemaError(
    'lock-held',
    'another eduschema has taken over: this one was not heard of until its lease had expired',
    { hint: 'wait until the other is done, and run the command again', cause },
  );
}

/** A lease as it stands in its table. */
export interface FoundLease {
  readonly holder: LockHolder;
  /** Not renewed in time, and nothing is at work. */
  readonly expired: boolean;
  /** The pid of the session that is at work for it now. */
  readonly worker: number | null;
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
           ${isAbandoned('l')} AS expired, ${workerOf('l')} AS worker, ${utc('expires_at')} AS "expiresAt"
    FROM ${quoteName(table)} l`);
  if (!row) return undefined;
  const { expired, expiresAt, worker, ...holder } = row;
  return { holder, expired, expiresAt, worker };
}

/** Removes a lease that has expired: whoever had it can record nothing more. True when there was one. */
export async function removeExpiredLease(sql: Sql, journal: QualifiedName): Promise<boolean> {
  const table = leaseTable(journal);
  if (!(await exists(sql, table))) return false;
  const removed = await sql.unsafe(
    `DELETE FROM ${quoteName(table)} l WHERE ${isAbandoned('l')} RETURNING token`,
  );
  return removed.length > 0;
}
