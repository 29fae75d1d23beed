import {
  findHolder,
  isHeldBy,
  type LockHolder,
  type LockKey,
  type LockWait,
  lockKeyOf,
  newLockKey,
  pollUntilFree,
  withAdvisoryLock,
} from '../db/advisory-lock.ts';
import type { Database, Session } from '../db/connect.ts';
import { isConnectionLost } from '../db/explain-error.ts';
import { quoteName } from '../db/identifiers.ts';
import { forbidStatementPooling } from '../db/pooler.ts';
import { defaultWaitSeconds } from '../db/work-settings.ts';
import { EduschemaError } from '../errors.ts';
import { type Lease, takeLease } from './lease.ts';
import { endSilentWorker, findLease, prepareLeaseTable, removeExpiredLease } from './lease-table.ts';
import { defaultLeaseSeconds, type MigrationSettings } from './settings.ts';
import { saysTurnLost } from './turn-proof.ts';

/** The settings of a runner whose turn it is. */
export interface HeldTurn extends MigrationSettings {
  /** What holds the turn behind a pooler; without one, the session's lock does. */
  readonly lease: Lease | undefined;
  /** A lock that the session with the turn holds beside it, in this run alone. */
  readonly token: LockKey;
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
  const token = newLockKey();
  await stayConnected(database);
  const [now] = await database.sql<[{ pid: number }]>`
    SELECT pg_backend_pid() AS pid, pg_advisory_lock(${token.classId}, ${token.objectId})`;
  if (now.pid !== database.facts.pid) throw hiddenPooler();
  const inTheWay = async () =>
    (await findBusyWorker(database, settings)) ?? (await findLeaseHolder(database, settings));
  return withAdvisoryLock(database.sql, turnKey(settings), inTheWay, wait, () =>
    use({ ...settings, lease: undefined, token }),
  );
}

/** Switches off what would end the session while it is idle, for hours perhaps; behind a pooler it is nobody's. */
export async function stayConnected({ sql, pooled }: Pick<Database, 'sql' | 'pooled'>): Promise<void> {
  if (pooled) return;
  await sql`SELECT set_config('idle_session_timeout', '0', false), set_config('statement_timeout', '0', false)`;
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

/** The same; one whose runner was silent for longer than its lease is ended, and will not be there the next time. */
async function findBusyWorker(
  database: Database,
  settings: MigrationSettings,
): Promise<LockHolder | undefined> {
  const worker = await findWorker(database, settings);
  if (worker) await endSilentWorker(database.sql, settings.journal);
  return worker;
}

/** Who has a lease that counts. The guard is asked for again: a late transaction of a lease's holder may have begun. */
async function findLeaseHolder(
  database: Database,
  settings: MigrationSettings,
): Promise<LockHolder | undefined> {
  const { sql } = database;
  const { journal } = settings;
  const holder = await findLeaseInForce(database, settings);
  if (holder || !(await removeExpiredLease(sql, journal))) return holder;
  return (await findWorker(database, settings)) ?? (await findLease(sql, journal))?.holder;
}

async function findLeaseInForce(
  { sql }: Database,
  { journal }: MigrationSettings,
): Promise<LockHolder | undefined> {
  const found = await findLease(sql, journal);
  if (!found?.expired) return found?.holder;
  if (found.silent === null) return undefined;
  await endSilentWorker(sql, journal);
  return found.holder;
}

async function withLease<T>(
  database: Database,
  settings: MigrationSettings,
  wait: LockWait,
  use: (held: HeldTurn) => Promise<T>,
): Promise<T> {
  const { sql } = database;
  const { journal, leaseSeconds = defaultLeaseSeconds } = settings;
  const others = async () => (await findBusyWorker(database, settings)) ?? findHolder(sql, turnKey(settings));
  await forbidStatementPooling(database);
  await prepareLeaseTable(sql, journal);
  let lease: Lease | undefined;
  await pollUntilFree(wait, async () => {
    const before = (await others()) ?? (await findLeaseInForce(database, settings));
    if (before) return before;
    lease = await takeLease(sql, journal, leaseSeconds);
    if (!lease) return (await findLease(sql, journal))?.holder ?? 'unknown';
    const after = await others();
    if (after) await lease.release();
    return after;
  });
  try {
    lease?.keep();
    return await use({ ...settings, lease, token: newLockKey() });
  } finally {
    await lease?.release();
  }
}

/** Throws when the session that holds the turn is gone, or the lease, as far as one knows here. */
export function forbidLostTurn(database: Database, settings: HeldTurn, outcome?: string): void {
  if (settings.lease?.isLost() || !database.isOpen()) throw lostTurn(settings, { outcome });
}

/**
 * Throws when the turn is lost, by the server's own word. Asked while `worker` holds the guard, which it does behind
 * a pooler only inside a transaction: whoever took the turn after that waits for the guard.
 */
export async function confirmTurn(database: Database, worker: Session, settings: HeldTurn): Promise<void> {
  forbidLostTurn(database, settings);
  const ours = settings.lease
    ? await settings.lease.isOurs()
    : await isHeldBy(worker.sql, turnKey(settings), database.facts.pid);
  if (!ours) throw lostTurn(settings);
}

/**
 * Whether a run failed with `error` because it had lost its turn: the session with the turn is gone, and that of the
 * migrations is not; or whoever took the lease has ended its session.
 */
export async function isTurnLost(
  database: Database,
  worker: Session,
  { lease }: Pick<HeldTurn, 'lease'>,
  error: unknown,
): Promise<boolean> {
  if (saysTurnLost(error)) return true;
  const known = error instanceof EduschemaError;
  if (!isConnectionLost(known ? error.cause : error)) return false;
  if (lease) return !(await lease.isOurs().catch(() => true));
  return !known && !database.isOpen() && worker.isOpen();
}

/** The error for a runner that lost its turn; `outcome` says what state the database is in now. */
export function lostTurn(
  { lease }: Pick<HeldTurn, 'lease'>,
  { outcome, cause }: { readonly outcome?: string | undefined; readonly cause?: unknown } = {},
): EduschemaError {
  const known = { cause, ...(outcome ? { excerpt: `\n${outcome}`, details: { outcome } } : {}) };
  return lease
    ? new EduschemaError(
        'lock-held',
        'another eduschema has taken over: this one was not heard of until its lease had expired',
        { hint: 'wait until the other is done, and run the command again', ...known },
      )
    : new EduschemaError(
        'connection-failed',
        'the session that keeps other runners out was ended by the server',
        { hint: 'see who ended it, and run the command again', ...known },
      );
}

function hiddenPooler(): EduschemaError {
  return new EduschemaError(
    'pooler-unsuitable',
    'one connection reaches several sessions of the server: a pooler that does not show itself',
    { hint: 'connect to the server directly' },
  );
}
