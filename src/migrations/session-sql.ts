import type { LockKey } from '../db/advisory-lock.ts';
import { checkDeadlockSoon } from '../db/deadlock-timeout.ts';
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

/** For the session, as a query within the transaction would be too early for SET TRANSACTION. */
export function yieldToDeadlocks({ versionNumber, triesAgain }: SessionSettings): string[] {
  return triesAgain ? [checkDeadlockSoon(versionNumber)] : [];
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

/** SQL that takes a session's advisory lock. */
export function lockStatement({ classId, objectId }: LockKey): string {
  return `SELECT pg_advisory_lock(${classId}, ${objectId})`;
}
