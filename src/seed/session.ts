import type { Sql } from 'postgres';
import { quoteIdentifier } from '../db/identifiers.ts';
import { openingOf, type Worker } from '../db/worker.ts';
import { type SeedSettings, searchPathOf } from './settings.ts';

/** What decides how values and bounds of partitions are read and shown: seeds of tables are the same under all others. */
const fixed = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  extra_float_digits: '1',
  quote_all_identifiers: 'off',
};

/** SQL that makes a session, or a transaction, read and show values in one way, whatever the role is set to. */
export function fixedSettings(how: 'LOCAL' | 'SESSION'): string {
  return Object.entries(fixed)
    .map(([name, value]) => `SET ${how} ${name} = '${value}'`)
    .join('; ');
}

/**
 * A function that sets the session of a worker back to how it was opened, before each file: what the SQL of one has set
 * holds for that one alone. Strings are read as they are split, and seeds of tables get the fixed settings.
 */
export async function sessionOpener(
  { session }: Worker,
  settings: SeedSettings,
): Promise<(kind: 'tables' | 'file') => Promise<void>> {
  const role = await roleOf(session.sql);
  return async (kind) => {
    await session.sql.unsafe(
      [
        'RESET SESSION AUTHORIZATION',
        `SET ROLE ${role}`,
        'RESET ALL',
        'DISCARD TEMP',
        ...openingOf(session, settings),
        'SET standard_conforming_strings = on',
        ...(kind === 'tables' ? [fixedSettings('SESSION')] : []),
        searchPathOf(settings, 'SESSION'),
      ].join('; '),
    );
  };
}

async function roleOf(sql: Sql): Promise<string> {
  const [found] = await sql<{ role: string }[]>`SELECT current_setting('role') AS role`;
  return found === undefined || found.role === 'none' ? 'NONE' : quoteIdentifier(found.role);
}
