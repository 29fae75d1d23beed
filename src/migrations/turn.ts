import { isHeldBy, type LockHolder, lockKeyOf, withAdvisoryLock } from '../db/advisory-lock.ts';
import type { Database, Session } from '../db/connect.ts';
import { quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { defaultWaitSeconds, type MigrationSettings } from './settings.ts';

/**
 * Lets one runner of a journal work at a time; `use` runs when it is this one's turn. The lock is held by an idle
 * session: one that waits inside a transaction would stop CREATE INDEX CONCURRENTLY.
 */
export async function withTurn<T>(
  database: Database,
  settings: MigrationSettings,
  use: () => Promise<T>,
): Promise<T> {
  const wait = {
    waitSeconds: settings.waitSeconds ?? defaultWaitSeconds,
    signal: settings.signal,
    onWait: (holder: LockHolder) => settings.onProgress?.({ type: 'waiting', holder }),
  };
  // The session is idle while migrations run, for hours perhaps.
  await database.sql.unsafe('SET idle_session_timeout = 0; SET statement_timeout = 0');
  return withAdvisoryLock(database.sql, turnKey(settings), guardKey(settings), wait, use);
}

const turnKey = ({ journal }: MigrationSettings) => lockKeyOf(`runner of ${quoteName(journal)}`);

/**
 * The key of the lock that the session of the migrations holds itself: when a client is killed, its session may
 * work on in the server after the turn has come free.
 */
export const guardKey = ({ journal }: MigrationSettings) => lockKeyOf(`worker of ${quoteName(journal)}`);

/** Throws when the session that holds the turn is gone. */
export function forbidLostTurn(database: Database): void {
  if (database.isOpen()) return;
  throw new EduschemaError(
    'connection-failed',
    'the session that keeps other runners out was ended by the server',
    { hint: 'see who ended it, and run the command again' },
  );
}

/**
 * Throws when the turn is lost, by the server's own word. Asked while `worker` holds the guard: whoever took the
 * turn after that waits for the guard.
 */
export async function confirmTurn(
  database: Database,
  worker: Session,
  settings: MigrationSettings,
): Promise<void> {
  forbidLostTurn(database);
  if (await isHeldBy(worker.sql, turnKey(settings), database.facts.pid)) return;
  throw new EduschemaError('lock-held', 'another eduschema has taken over', {
    hint: 'wait until it is done, and run the command again',
  });
}
