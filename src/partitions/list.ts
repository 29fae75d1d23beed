import type { Database } from '../db/connect.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import { findPartitionedTable, listPartitionedTables, listPartitions } from './catalogue.ts';
import { defaultZone, readPolicy } from './policy.ts';

/** The partitions of the tables named, or of all. To be made whole by `partitions list`. */
export async function listAll(
  { sql }: Database,
  names: readonly QualifiedName[],
  { zone }: { readonly zone?: string | undefined },
): Promise<object[]> {
  const tables = [];
  for (const name of names) tables.push(await findPartitionedTable(sql, name));
  if (names.length === 0) tables.push(...(await listPartitionedTables(sql)));
  const rows = [];
  for (const table of tables) {
    const policy = readPolicy(table.comment);
    for (const partition of await listPartitions(sql, table, zone ?? policy.zone ?? defaultZone))
      rows.push({ table: table.name, ...partition });
  }
  return rows;
}
