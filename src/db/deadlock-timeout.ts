/**
 * SQL that sets deadlock_timeout to 50 ms for the session, where the user may. An ordinary autovacuum gives way to
 * whoever waits that long, which is a second without it, longer than the first tries of the lock ladder; and of two in
 * a deadlock we are the one that can try again. Few have the right.
 */
export function checkDeadlockSoon(versionNumber: number): string {
  const may =
    versionNumber >= 150000
      ? `WHERE has_parameter_privilege('deadlock_timeout', 'SET')`
      : 'FROM pg_roles WHERE rolname = current_user AND rolsuper';
  return `SELECT set_config('deadlock_timeout', '50ms', false) ${may}`;
}
