/**
 * The lock modes as pg_locks names them, weakest first, each with those it is in conflict with.
 * https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
 */
export const lockModes = {
  AccessShareLock: ['AccessExclusiveLock'],
  RowShareLock: ['ExclusiveLock', 'AccessExclusiveLock'],
  RowExclusiveLock: ['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'],
  ShareUpdateExclusiveLock: [
    'ShareUpdateExclusiveLock',
    'ShareLock',
    'ShareRowExclusiveLock',
    'ExclusiveLock',
    'AccessExclusiveLock',
  ],
  ShareLock: [
    'RowExclusiveLock',
    'ShareUpdateExclusiveLock',
    'ShareRowExclusiveLock',
    'ExclusiveLock',
    'AccessExclusiveLock',
  ],
  ShareRowExclusiveLock: [
    'RowExclusiveLock',
    'ShareUpdateExclusiveLock',
    'ShareLock',
    'ShareRowExclusiveLock',
    'ExclusiveLock',
    'AccessExclusiveLock',
  ],
  ExclusiveLock: [
    'RowShareLock',
    'RowExclusiveLock',
    'ShareUpdateExclusiveLock',
    'ShareLock',
    'ShareRowExclusiveLock',
    'ExclusiveLock',
    'AccessExclusiveLock',
  ],
  AccessExclusiveLock: [
    'AccessShareLock',
    'RowShareLock',
    'RowExclusiveLock',
    'ShareUpdateExclusiveLock',
    'ShareLock',
    'ShareRowExclusiveLock',
    'ExclusiveLock',
    'AccessExclusiveLock',
  ],
} as const;

/** A CTE `conflict (mode, against, strength)` of the lock modes. */
export const conflictTable = `conflict (mode, against, strength) AS (VALUES ${Object.entries(lockModes)
  .map(([mode, against], strength) => `('${mode}', '{${against.join(',')}}'::text[], ${strength})`)
  .join(', ')})`;

/** A condition: two rows of pg_locks are about the same thing. */
export function sameLock(a: string, b: string): string {
  return `${a}.locktype = ${b}.locktype AND (${tag(a)}) IS NOT DISTINCT FROM (${tag(b)})`;
}

const tag = (row: string) =>
  ['database', 'relation', 'page', 'tuple', 'virtualxid', 'transactionid', 'classid', 'objid', 'objsubid']
    .map((column) => `${row}.${column}`)
    .join(', ');

/** `AccessShareLock` as people write it: `ACCESS SHARE`. */
export function showLockMode(mode: string): string {
  return mode
    .replace(/Lock$/, '')
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toUpperCase();
}
