import type { Lease } from './lease.ts';
import type { RunSettings } from './run-settings.ts';
import { lockStatement, yieldToDeadlocks } from './session-sql.ts';

/** SQL, for inside a transaction, that undoes settings of the session and of the transaction. */
const resetAll = ['RESET SESSION AUTHORIZATION', 'RESET ROLE', 'RESET ALL'];

/**
 * The same for a session that a pooler lends, and shares with others. What DISCARD ALL does beyond that is not ours to
 * do: others may rely on prepared statements and session locks. The pooler keeps client_encoding and application_name
 * as each client has them; RESET ALL would change both for us.
 */
const cleanSession = ({ workerName }: Lease) => [
  ...resetAll,
  'DISCARD TEMP',
  "SET client_encoding = 'UTF8'",
  `SET application_name = '${workerName}'`,
];

/**
 * The messages that begin a migration's transaction, in a clean session, with the guard. Through a pooler all is
 * inside the transaction, as nothing holds beyond it; when the lease is lost, it fails at once.
 */
export function beginMessages(settings: RunSettings, opening: readonly string[]): string[] {
  if (settings.lease) return [[beginLeased, ...enterTransaction(settings, opening)].join('; ')];
  return ['DISCARD ALL', waitForGuard(settings), ['BEGIN', ...opening].join('; ')];
}

/** SQL before a transaction: takes the guard, and then looks whose turn it is. */
export function waitForGuard(settings: RunSettings): string {
  return [lockStatement(settings.guard), settings.proof.note, ...yieldToDeadlocks(settings)].join('; ');
}

/** After a statement of the migration the isolation level could not be changed; others fail beside each renewal of the lease. */
export const leasedIsolation = 'ISOLATION LEVEL READ COMMITTED';

const beginLeased = `BEGIN ${leasedIsolation}`;

/** SQL for the beginning of a migration, in a transaction that is open. */
export function enterTransaction({ lease, guard }: RunSettings, opening: readonly string[]): string[] {
  if (!lease) return [...resetAll, ...opening];
  return [
    ...cleanSession(lease),
    `SELECT pg_catalog.pg_advisory_xact_lock(${guard.classId}, ${guard.objectId})`,
    ...opening,
    lease.check,
  ];
}

/** SQL for right before a row of the journal is written: fails when the turn is lost. */
export function proveTurn({ lease, proof }: Pick<RunSettings, 'lease' | 'proof'>): string[] {
  return [lease ? lease.check : proof.fence];
}

/** SQL for right before COMMIT: through a pooler, what makes sure that the turn is ours, and leaves the session clean. */
export function leaveTransaction({ lease }: Pick<RunSettings, 'lease'>): string[] {
  return lease ? [lease.fence, ...cleanSession(lease)] : [];
}
