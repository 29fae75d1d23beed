import type { Sql } from 'postgres';
import type { PartitionedTable } from './catalogue.ts';

/**
 * For each partition, by its oid, the indexes of the table that it has none for, or an invalid one. An index made with
 * ON ONLY, or whose build on a partition failed, is such a one.
 */
export async function listMissingIndexes(
  sql: Sql,
  { oid }: Pick<PartitionedTable, 'oid'>,
): Promise<ReadonlyMap<number, readonly string[]>> {
  const rows = await sql.unsafe<{ partition: number; indexes: string }[]>(`
    SELECT p.inhrelid::int8::float8 AS partition, json_agg(c.relname ORDER BY c.relname)::text AS indexes
    FROM pg_inherits p
    JOIN pg_index x ON x.indrelid = p.inhparent
    JOIN pg_class c ON c.oid = x.indexrelid
    WHERE p.inhparent = ${oid} AND NOT EXISTS (
      SELECT FROM pg_inherits i JOIN pg_index own ON own.indexrelid = i.inhrelid
      WHERE i.inhparent = x.indexrelid AND own.indrelid = p.inhrelid AND own.indisvalid)
    GROUP BY 1`);
  return new Map(rows.map(({ partition, indexes }) => [partition, JSON.parse(indexes) as string[]]));
}
