import { createHash, randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { EduschemaError } from '../errors.ts';

/** The two numbers of an advisory lock, as pg_locks shows them. */
export interface LockKey {
  readonly classId: number;
  readonly objectId: number;
}

/** Who holds a lock, as far as the server lets us see. */
export interface LockHolder {
  readonly pid: number;
  readonly user: string | null;
  readonly application: string | null;
  readonly host: string | null;
  /** ISO 8601 in UTC. */
  readonly since: string | null;
  /** Of a runner behind a pooler, whose `pid` is that of its own process: seconds since it was last heard of. */
  readonly beatSeconds?: number;
}

export interface LockWait {
  /** Seconds to wait for the holder before giving up. */
  readonly waitSeconds: number;
  readonly signal?: AbortSignal | undefined;
  /** Told once for each new holder. */
  readonly onWait?: (holder: LockHolder) => void;
}

/** "edus": the class of eduschema's advisory locks. */
const lockClass = 0x65647573;

/** The key of the lock for `what`. Advisory locks belong to a database, so its name is no part of it. */
export function lockKeyOf(what: string): LockKey {
  return { classId: lockClass, objectId: createHash('sha256').update(what).digest().readInt32BE(0) };
}

/** The key of a lock that nobody else takes. */
export function newLockKey(): LockKey {
  return { classId: lockClass, objectId: randomInt(-(2 ** 31), 2 ** 31) };
}

/**
 * Holds the lock in the session of `sql` while `use` runs. Others poll for it outside any transaction: a session
 * that waits inside the server has a snapshot, for which CREATE INDEX CONCURRENTLY of the holder would wait.
 * `inTheWay` says who is at work all the same: a killed runner's statement can outlive its lock.
 * Throws `lock-held`, naming the holder, when it does not come free in time.
 */
export async function withAdvisoryLock<T>(
  sql: Sql,
  key: LockKey,
  inTheWay: () => Promise<LockHolder | undefined>,
  wait: LockWait,
  use: () => Promise<T>,
): Promise<T> {
  const release = () => sql.unsafe(`SELECT pg_advisory_unlock(${key.classId}, ${key.objectId})`);
  await pollUntilFree(wait, async () => {
    const [{ locked } = { locked: false }] = await sql.unsafe<[{ locked: boolean }]>(
      `SELECT pg_try_advisory_lock(${key.classId}, ${key.objectId}) AS locked`,
    );
    if (!locked) return (await findHolder(sql, key)) ?? 'unknown';
    const holder = await inTheWay();
    if (holder) await release();
    return holder;
  });
  try {
    return await use();
  } finally {
    // The session may be gone, and the lock with it.
    await release().catch(() => {});
  }
}

const pollSeconds = 0.05;

/**
 * Tries until nobody is in the way: `attempt` says who is. Throws `lock-held` when that takes too long.
 */
export async function pollUntilFree(
  wait: LockWait,
  attempt: () => Promise<LockHolder | 'unknown' | undefined>,
): Promise<void> {
  const deadline = performance.now() + wait.waitSeconds * 1000;
  let told: number | undefined;
  for (let tries = 0; ; tries++) {
    const found = await attempt();
    if (!found) return;
    const holder = found === 'unknown' ? undefined : found;
    if (holder && holder.pid !== told) {
      told = holder.pid;
      wait.onWait?.(holder);
    }
    wait.signal?.throwIfAborted();
    if (performance.now() >= deadline) throw lockHeld(holder, wait.waitSeconds);
    const pause = Math.min(pollSeconds * 1.3 ** tries, 0.5) * (0.5 + Math.random());
    await sleep(pause * 1000, undefined, wait.signal ? { signal: wait.signal } : {});
  }
}

/** SQL: that `l`, a row of pg_locks, is the lock with this key, in this database and granted. */
export function lockedBy({ classId, objectId }: LockKey): string {
  return `l.locktype = 'advisory' AND l.granted
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND l.classid::bigint = ${classId} AND l.objid::bigint = ${objectId >>> 0} AND l.objsubid = 2`;
}

/** Whether the session with this pid holds the lock. */
export async function isHeldBy(sql: Sql, key: LockKey, pid: number): Promise<boolean> {
  const held = await sql.unsafe(
    `SELECT FROM pg_catalog.pg_locks l WHERE ${lockedBy(key)} AND l.pid = ${pid}`,
  );
  return held.length > 0;
}

/** A query that fails, as the server's log then explains, unless the session with this pid holds the lock. */
export function demandHeldBy(key: LockKey, pid: number): string {
  return `SELECT CASE count(*) WHEN 0 THEN (count(*)::text || ' sessions have the turn of session ${pid}')::int END
    FROM pg_catalog.pg_locks l WHERE ${lockedBy(key)} AND l.pid = ${pid}`;
}

/** The session that holds the lock, other than this one. */
export async function findHolder(sql: Sql, key: LockKey): Promise<LockHolder | undefined> {
  const [holder] = await sql.unsafe<LockHolder[]>(`
    SELECT l.pid,
           a.usename AS "user",
           nullif(a.application_name, '') AS application,
           coalesce(a.client_hostname, host(a.client_addr)) AS host,
           to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_locks l
    LEFT JOIN pg_stat_activity a USING (pid)
    WHERE ${lockedBy(key)} AND l.pid <> pg_backend_pid()
    LIMIT 1`);
  return holder;
}

/** `pid 4711 (eduschema migrate, user postgres, host 127.0.0.1, since 2026-11-22T09:30:00Z)`. */
export function describeHolder({ pid, user, application, host, since, beatSeconds }: LockHolder): string {
  const known = [
    application,
    user && `user ${user}`,
    host && `host ${host}`,
    since && `since ${since}`,
    beatSeconds !== undefined && `through a pooler, last heard of ${beatSeconds} s ago`,
  ].filter(Boolean);
  const who = beatSeconds === undefined ? `pid ${pid}` : `process ${pid}`;
  return known.length > 0 ? `${who} (${known.join(', ')})` : who;
}

function lockHeld(holder: LockHolder | undefined, seconds: number): EduschemaError {
  const who = holder ? describeHolder(holder) : 'another session';
  return new EduschemaError('lock-held', `another eduschema is at work: ${who}; waited ${seconds} s`, {
    hint: 'wait until it is done, or wait longer with --wait <seconds>',
    details: { ...(holder ? { holder } : {}) },
  });
}
