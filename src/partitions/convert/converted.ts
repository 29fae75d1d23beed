import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { readMark } from '../comment-mark.ts';
import type { Memory } from './memory.ts';

/** What is known of a partitioned table that was converted. */
export interface PartitionedFacts {
  readonly partitions: number;
  /** Partitions that were tables of their own once: the first one, of an attachment. */
  readonly converted: readonly ConvertedPartition[];
}

export interface ConvertedPartition {
  readonly name: QualifiedName;
  readonly oid: number;
  readonly fileNode: number;
  readonly memory: Memory;
}

/** Looks for what a partitioned table was. */
export async function findPartitioned(sql: Sql, table: QualifiedName): Promise<PartitionedFacts> {
  const rows = await sql.unsafe<
    (QualifiedName & { oid: number; fileNode: number; comment: string | null })[]
  >(
    `SELECT n.nspname AS schema, c.relname AS name, c.oid::int8::float8 AS oid, obj_description(c.oid, 'pg_class') AS comment,
            pg_relation_filenode(c.oid)::int8::float8 AS "fileNode"
     FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE h.inhparent = to_regclass($1) ORDER BY 1, 2`,
    [quoteName(table)],
  );
  return {
    partitions: rows.length,
    converted: rows.flatMap(({ schema, name, oid, fileNode, comment }) => {
      const memory = readMark<Memory>(comment, 'was');
      return memory ? [{ name: { schema, name }, oid, fileNode, memory }] : [];
    }),
  };
}
