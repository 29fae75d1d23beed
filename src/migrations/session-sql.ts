import type { LockKey } from '../db/advisory-lock.ts';
import { quoteIdentifier, quoteLiteral } from '../db/identifiers.ts';

/** The settings each migration starts with, whatever the one before it did. */
export interface SessionSettings {
  /** PostgreSQL's lock_timeout for migrations in a transaction. Outside of one it is 0: there a timeout leaves wreckage. */
  readonly lockTimeout: string;
  readonly statementTimeout: string;
  readonly role: string | undefined;
  readonly schema: string | undefined;
  /** `server_version_num`: newer servers have more timeouts. */
  readonly versionNumber: number;
  /** Whether a transaction that did not get its locks is tried again. */
  readonly triesAgain?: boolean;
}

/** SQL that every migration starts with, for its transaction or for the session. */
export function openingStatements(
  { role, schema, lockTimeout, statementTimeout, versionNumber }: SessionSettings,
  scope: 'LOCAL' | 'SESSION' = 'LOCAL',
): string[] {
  return [
    `SET ${scope} statement_timeout = ${quoteLiteral(statementTimeout)}`,
    `SET ${scope} lock_timeout = ${quoteLiteral(scope === 'LOCAL' ? lockTimeout : '0')}`,
    `SET ${scope} idle_in_transaction_session_timeout = 0`,
    ...(versionNumber >= 170000 ? [`SET ${scope} transaction_timeout = 0`] : []),
    ...(schema ? [`SET ${scope} search_path = ${quoteIdentifier(schema)}, public`] : []),
    ...(role ? [`SET ${scope} ROLE ${quoteIdentifier(role)}`] : []),
  ];
}

/**
 * An ordinary autovacuum gives way to whoever waits for deadlock_timeout, which is longer than our first tries; and
 * of two in a deadlock we are the one that can try again. Setting it takes a right that few have. Not inside the transaction: a query
 * there would come before the SET TRANSACTION of a migration.
 */
function checkDeadlockSoon(versionNumber: number): string {
  const may =
    versionNumber >= 150000
      ? `WHERE has_parameter_privilege('deadlock_timeout', 'SET')`
      : 'FROM pg_roles WHERE rolname = current_user AND rolsuper';
  return `SELECT set_config('deadlock_timeout', '50ms', false) ${may}`;
}

/** SQL before the journal is written: nothing that the migration set may reach it. */
export function closingStatements({ role }: SessionSettings): string[] {
  return [
    'SET CONSTRAINTS ALL IMMEDIATE',
    'RESET SESSION AUTHORIZATION',
    'RESET ROLE',
    ...(role ? [`SET LOCAL ROLE ${quoteIdentifier(role)}`] : []),
  ];
}

/** A message of its own: the server decodes a whole message before it runs what is in it. */
export const restoreEncoding = "SET client_encoding = 'UTF8'";

/** SQL that fails (25P01) outside a transaction block: if the migration ended its own, it must not be recorded. */
export const insideTransaction = 'SAVEPOINT eduschema; RELEASE SAVEPOINT eduschema';

/** SQL that takes a session's advisory lock; before a transaction that is tried again, with what such a one needs. */
export function lockStatement({ classId, objectId }: LockKey, settings?: SessionSettings): string {
  const lock = `SELECT pg_advisory_lock(${classId}, ${objectId})`;
  return settings?.triesAgain ? `${checkDeadlockSoon(settings.versionNumber)}; ${lock}` : lock;
}
