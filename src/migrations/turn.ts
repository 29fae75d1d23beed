import {
  findHolder,
  isHeldBy,
  type LockHolder,
  type LockWait,
  lockKeyOf,
  pollUntilFree,
  withAdvisoryLock,
} from '../db/advisory-lock.ts';
import type { Database, Session } from '../db/connect.ts';
import { quoteName } from '../db/identifiers.ts';
import { forbidStatementPooling } from '../db/pooler.ts';
import { defaultWaitSeconds } from '../db/work-settings.ts';
import { EduschemaError } from '../errors.ts';
import {
  findLease,
  type Lease,
  leaseLost,
  prepareLeaseTable,
  removeExpiredLease,
  takeLease,
} from './lease.ts';
import { defaultLeaseSeconds, type MigrationSettings } from './settings.ts';

/** The settings of a runner whose turn it is. */
export interface HeldTurn extends MigrationSettings {
  /** What holds the turn behind a pooler; without one, the session's lock does. */
  readonly lease: Lease | undefined;
}

/**
 * Lets one runner of a journal work at a time; `use` runs when it is this one's turn. The lock is held by an idle
 * session: one that waits inside a transaction would stop CREATE INDEX CONCURRENTLY. Behind a pooler no session is
 * ours, and a lease takes its place. Each kind of runner first takes its own, for all to see, and then looks for the
 * other's: of two at once, one at least sees the other and steps back.
 */
export async function withTurn<T>(
  database: Database,
  settings: MigrationSettings,
  use: (held: HeldTurn) => Promise<T>,
): Promise<T> {
  const wait: LockWait = {
    waitSeconds: settings.waitSeconds ?? defaultWaitSeconds,
    signal: settings.signal,
    onWait: (holder) => settings.onProgress?.({ type: 'waiting', holder }),
  };
  if (database.pooled) return withLease(database, settings, wait, use);
  // The session is idle while migrations run, for hours perhaps.
  const [now] = await database.sql<[{ pid: number }]>`
    SELECT pg_backend_pid() AS pid, set_config('idle_session_timeout', '0', false), set_config('statement_timeout', '0', false)
  `;
  if (now.pid !== database.facts.pid) throw hiddenPooler();
  const inTheWay = async () =>
    (await findWorker(database, settings)) ?? (await findLeaseHolder(database, settings));
  return withAdvisoryLock(database.sql, turnKey(settings), inTheWay, wait, () =>
    use({ ...settings, lease: undefined }),
  );
}

/** The key of the lock of the runner whose turn it is. */
export const turnKey = ({ journal }: Pick<MigrationSettings, 'journal'>) =>
  lockKeyOf(`runner of ${quoteName(journal)}`);

/**
 * The key of the lock that the session of the migrations holds itself: when a client is killed, its session may
 * work on in the server after the turn has come free.
 */
export const guardKey = ({ journal }: Pick<MigrationSettings, 'journal'>) =>
  lockKeyOf(`worker of ${quoteName(journal)}`);

const findWorker = ({ sql }: Database, settings: MigrationSettings) => findHolder(sql, guardKey(settings));

/** Who has a lease that counts. The guard is asked for again: a late transaction of a lease's holder may have begun. */
async function findLeaseHolder(
  database: Database,
  settings: MigrationSettings,
): Promise<LockHolder | undefined> {
  const found = await findLease(database.sql, settings.journal);
  if (!found?.expired) return found?.holder;
  await removeExpiredLease(database.sql, settings.journal);
  return (await findWorker(database, settings)) ?? (await findLease(database.sql, settings.journal))?.holder;
}

async function withLease<T>(
  database: Database,
  settings: MigrationSettings,
  wait: LockWait,
  use: (held: HeldTurn) => Promise<T>,
): Promise<T> {
  const { sql } = database;
  const { journal, leaseSeconds = defaultLeaseSeconds } = settings;
  const others = async () => (await findWorker(database, settings)) ?? findHolder(sql, turnKey(settings));
  await forbidStatementPooling(database);
  await prepareLeaseTable(sql, journal);
  let lease: Lease | undefined;
  await pollUntilFree(wait, async () => {
    // A transaction that is at work keeps an expired lease alive: it may be what its renewal waits for.
    const before = await others();
    if (before) return before;
    lease = await takeLease(sql, journal, leaseSeconds);
    if (!lease) return (await findLease(sql, journal))?.holder ?? 'unknown';
    const after = await others();
    if (after) await lease.release();
    return after;
  });
  try {
    lease?.keep();
    return await use({ ...settings, lease });
  } finally {
    await lease?.release();
  }
}

/** Throws when the session that holds the turn is gone, or the lease. */
export function forbidLostTurn(database: Database, { lease }: Pick<HeldTurn, 'lease'>): void {
  if (lease?.isLost()) throw leaseLost();
  if (database.isOpen()) return;
  throw new EduschemaError(
    'connection-failed',
    'the session that keeps other runners out was ended by the server',
    { hint: 'see who ended it, and run the command again' },
  );
}

/**
 * Throws when the turn is lost, by the server's own word. Asked while `worker` holds the guard, which it does behind
 * a pooler only inside a transaction: whoever took the turn after that waits for the guard.
 */
export async function confirmTurn(database: Database, worker: Session, settings: HeldTurn): Promise<void> {
  forbidLostTurn(database, settings);
  if (settings.lease) {
    if (await settings.lease.isOurs()) return;
    throw leaseLost();
  }
  if (await isHeldBy(worker.sql, turnKey(settings), database.facts.pid)) return;
  throw new EduschemaError('lock-held', 'another eduschema has taken over', {
    hint: 'wait until it is done, and run the command again',
  });
}

function hiddenPooler(): EduschemaError {
  return new EduschemaError(
    'pooler-unsuitable',
    'one connection reaches several sessions of the server: a pooler that does not show itself',
    { hint: 'connect to the server directly' },
  );
}
