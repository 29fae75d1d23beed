import type { Database } from '../db/connect.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import { findPartitionedTable, listPartitionedTables, listPartitions } from './catalogue.ts';
import { findPolicy, type PolicySources } from './effective-policy.ts';
import { listMissingIndexes } from './missing-indexes.ts';

/** A partition with what a DBA wants to know of it. */
export interface ListedPartition {
  readonly table: QualifiedName;
  readonly partition: QualifiedName;
  /** In the zone of the table's policy, `2026-12-01 00:00:00`; null for MINVALUE and of the default partition. */
  readonly from: string | null;
  /** Not included; null for MAXVALUE and of the default partition. */
  readonly to: string | null;
  readonly isDefault: boolean;
  readonly detachPending: boolean;
  /** An estimate; null for a partition that was never analysed. */
  readonly rows: number | null;
  /** With indexes and TOAST. */
  readonly bytes: number;
  /** Indexes of the table that it has none for, or an invalid one. */
  readonly missingIndexes: readonly string[];
}

/** The partitions of the tables named, or of all that are partitioned by a time, in the order of their bounds. */
export async function listAll(
  { sql }: Database,
  names: readonly QualifiedName[],
  sources: PolicySources,
): Promise<ListedPartition[]> {
  const tables = [];
  for (const name of names) tables.push(await findPartitionedTable(sql, name));
  if (names.length === 0) tables.push(...(await listPartitionedTables(sql)));
  const rows: ListedPartition[] = [];
  for (const table of tables) {
    const { zone } = findPolicy(table, sources);
    const missing = await listMissingIndexes(sql, table);
    for (const { oid, name, from, to, isDefault, detachPending, rows: count, bytes } of await listPartitions(
      sql,
      table,
      zone,
    ))
      rows.push({
        table: table.name,
        partition: name,
        from: from?.local ?? null,
        to: to?.local ?? null,
        isDefault,
        detachPending,
        rows: count,
        bytes,
        missingIndexes: missing.get(oid) ?? [],
      });
  }
  return rows;
}
