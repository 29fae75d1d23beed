import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { describeHolder, findHolder, type LockHolder, type LockKey, lockedBy } from '../db/advisory-lock.ts';
import type { Database } from '../db/connect.ts';
import { EduschemaError } from '../errors.ts';
import { endSilentWorker, type FoundLease, findLease, removeExpiredLease } from './lease-table.ts';
import type { MigrationSettings } from './settings.ts';
import { guardKey, turnKey } from './turn.ts';

/** The session in which migrations run. */
export interface Worker extends LockHolder {
  /** As pg_stat_activity says: `active`, `idle in transaction` ... */
  readonly state: string | null;
  /** Its current statement, or its last one, cut. */
  readonly query: string | null;
  /** Seconds since that began. */
  readonly querySeconds: number | null;
  /** To the microsecond: with the pid, it names the session for ever. */
  readonly backendStart: string | null;
}

/** Who is at work on a journal. */
export interface LockState {
  /**
   * `held`: a runner is at work. `orphaned`: a session works for a runner that is gone. `expired`: a runner behind a
   * pooler was not heard of for too long.
   */
  readonly state: 'free' | 'held' | 'orphaned' | 'expired';
  /** The session that holds the turn. */
  readonly runner: LockHolder | undefined;
  readonly worker: Worker | undefined;
  readonly lease: FoundLease | undefined;
}

type JournalSettings = Pick<MigrationSettings, 'journal'>;

/** Finds out who is at work. Changes nothing. */
export async function findLockState({ sql }: Database, settings: JournalSettings): Promise<LockState> {
  // In this order: a runner that is just ending lets go of its worker first.
  const guard = await findWorker(sql, guardKey(settings));
  const lease = await findLease(sql, settings.journal);
  const lent = lease?.worker ?? lease?.silent;
  const worker = guard ?? (lent ? await findSession(sql, lent) : undefined);
  const runner = await findHolder(sql, turnKey(settings));
  return { state: stateOf(runner, worker, lease), runner, worker, lease };
}

function stateOf(
  runner: LockHolder | undefined,
  worker: Worker | undefined,
  lease: FoundLease | undefined,
): LockState['state'] {
  if (runner || (lease && !lease.expired)) return 'held';
  if (worker && worker.pid !== lease?.silent) return 'orphaned';
  return lease ? 'expired' : 'free';
}

const backendStart = `to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')`;

async function findWorker(sql: Sql, guard: LockKey): Promise<Worker | undefined> {
  const holder = await findHolder(sql, guard);
  return holder && ((await findSession(sql, holder.pid)) ?? { ...unseen, ...holder });
}

const unseen = { state: null, query: null, querySeconds: null, backendStart: null };

async function findSession(sql: Sql, pid: number): Promise<Worker | undefined> {
  const [session] = await sql.unsafe<Worker[]>(`
    SELECT a.pid, a.usename AS "user", nullif(a.application_name, '') AS application,
           coalesce(a.client_hostname, host(a.client_addr)) AS host,
           to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since,
           a.state, left(regexp_replace(a.query, '\\s+', ' ', 'g'), 200) AS query,
           round(extract(epoch FROM clock_timestamp() - a.query_start))::int AS "querySeconds",
           ${backendStart} AS "backendStart"
    FROM pg_catalog.pg_stat_activity a WHERE a.pid = ${pid}`);
  return session;
}

/** What `breakLock` did. */
export interface Broken {
  readonly what: 'nothing' | 'worker' | 'lease';
  readonly state: LockState;
}

/**
 * Removes what a runner left that is provably gone: the session that works on for it in the server, after `confirm`,
 * or its lease, once that has expired. Throws `lock-held` when a runner is at work.
 */
export async function breakLock(
  database: Database,
  settings: JournalSettings,
  confirm: (worker: Worker) => Promise<void>,
): Promise<Broken> {
  const state = await findLockState(database, settings);
  const { worker } = state;
  if (state.state === 'held') throw heldBy(state);
  if (state.state === 'expired') {
    if (worker) {
      await confirm(worker);
      await endSilentWorker(database.sql, settings.journal);
      await untilEnded(database, settings, worker);
    }
    const removed = await removeExpiredLease(database.sql, settings.journal);
    return { what: removed ? 'lease' : 'nothing', state };
  }
  if (!worker) return { what: 'nothing', state };
  await confirm(worker);
  return { what: (await endWorker(database, settings, worker)) ? 'worker' : 'nothing', state };
}

/** False when it has ended by itself. */
async function endWorker(database: Database, settings: JournalSettings, worker: Worker): Promise<boolean> {
  const now = await findLockState(database, settings);
  if (now.state === 'held') throw heldBy(now);
  const { pid, backendStart: start } = worker;
  const held = (key: LockKey) => `SELECT FROM pg_catalog.pg_locks l WHERE ${lockedBy(key)}`;
  const ended = await database.sql.unsafe(`
    SELECT pg_catalog.pg_terminate_backend(a.pid)
    FROM pg_catalog.pg_stat_activity a
    WHERE a.pid = ${pid} AND ${backendStart} = '${start}'
      AND EXISTS (${held(guardKey(settings))} AND l.pid = a.pid)
      AND NOT EXISTS (${held(turnKey(settings))})`);
  if (ended.length === 0) return forbidUnseen(database, settings, worker);
  await untilEnded(database, settings, worker);
  return true;
}

async function untilEnded({ sql }: Database, settings: JournalSettings, worker: Worker): Promise<void> {
  const { pid, backendStart: start } = worker;
  for (let tries = 0; tries < 100; tries++) {
    const left = await findWorker(sql, guardKey(settings));
    if (left?.pid !== pid || left.backendStart !== start) return;
    await sleep(50);
  }
  throw new EduschemaError('lock-held', `pid ${pid} was told to end, and has not ended yet`, {
    hint: 'it may be rolling back; see eduschema lock',
  });
}

/** Without the right to see more of a session than its pid, it cannot be told from another with that pid. */
async function forbidUnseen(database: Database, settings: JournalSettings, { pid }: Worker): Promise<false> {
  const now = await findLockState(database, settings);
  if (now.state === 'held') throw heldBy(now);
  if (now.worker?.pid !== pid) return false;
  throw new EduschemaError('permission-denied', `the session pid ${pid} cannot be seen by this user`, {
    hint: 'use the user that runs migrations, or one with pg_read_all_stats and pg_signal_backend',
  });
}

function heldBy({ runner, worker, lease }: LockState): EduschemaError {
  const holder = runner ?? lease?.holder ?? worker;
  const pid = worker?.pid ?? runner?.pid;
  const wait = lease && !runner ? `its lease ends at ${lease.expiresAt} unless it is renewed; ` : '';
  const end =
    pid === undefined ? 'end its process' : `end its process, or SELECT pg_terminate_backend(${pid})`;
  return new EduschemaError(
    'lock-held',
    `a runner is at work: ${holder ? describeHolder(holder) : 'one that cannot be seen'}; nothing was broken`,
    {
      hint: `see what it does with eduschema lock; ${wait}to stop it is your own decision: ${end}`,
      details: { holder, ...(worker ? { worker } : {}) },
    },
  );
}
