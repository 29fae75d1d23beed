import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';

/** The newest migration that is recorded in the journal of migrations; undefined when there is none. */
export async function findCurrentVersion(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
): Promise<string | undefined> {
  return (await listVersions(sql, journal)).sort(compareVersions).at(-1);
}

/** Throws `schema-behind` unless the migration that a seed needs is applied. */
export async function requireVersion(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
  file: string,
  needed: string,
): Promise<void> {
  const versions = await listVersions(sql, journal);
  if (versions.some((version) => compareVersions(version, needed) === 0)) return;
  const current = versions.sort(compareVersions).at(-1);
  throw new EduschemaError(
    'schema-behind',
    `${file} needs version ${needed} of the schema; ${current === undefined ? 'no migration is applied' : `the database is at ${current}`}`,
    {
      hint: 'run eduschema migrate first',
      details: { needed, current: current ?? null },
    },
  );
}

async function listVersions(sql: Pick<Sql, 'unsafe'>, journal: QualifiedName): Promise<string[]> {
  const table = quoteName(journal);
  const [found] = await sql.unsafe(`SELECT to_regclass(${quoteLiteral(table)}) IS NOT NULL AS there`);
  if (!found?.there) return [];
  const rows = await sql.unsafe<{ version: string }[]>(`SELECT version FROM ${table}`);
  return rows.map(({ version }) => version);
}

/** Number by number; `1.4` and `1.4.0` are one. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number)) as [number[], number[]];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
