import type { Sql, TransactionSql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { readMark } from '../comment-mark.ts';

/** A partition that is not the old table. */
export interface NewerPartition {
  readonly name: QualifiedName;
  readonly hasRows: boolean;
  /** As pg_class has it: `r` a table, `p` a partitioned one, `f` a foreign one. */
  readonly kind: string;
  readonly comment: string | null;
}

/** The partitions of a table but `old`, by name, and whether anything is in them. */
export async function listNewer(
  sql: Sql | TransactionSql,
  table: QualifiedName,
  old: number,
): Promise<NewerPartition[]> {
  const rows = await sql.unsafe<(QualifiedName & { kind: string; comment: string | null })[]>(
    `SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, pg_catalog.obj_description(c.oid, 'pg_class') AS comment
     FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE h.inhparent = pg_catalog.to_regclass($1) AND c.oid <> ${old} ORDER BY 1, 2`,
    [quoteName(table)],
  );
  if (rows.length === 0) return [];
  const [found] = await sql.unsafe<[Record<string, boolean>]>(
    `SELECT ${rows.map((row, at) => `EXISTS (SELECT FROM ${quoteName(row)}) AS "${at}"`).join(', ')}`,
  );
  return rows.map(({ schema, name, kind, comment }, at) => ({
    name: { schema, name },
    kind,
    hasRows: found[String(at)] === true,
    comment,
  }));
}

/** Which index of the partition `old` belongs to which of the partitioned table: names without schema. */
export async function findIndexPairs(
  sql: Sql | TransactionSql,
  table: QualifiedName,
  old: number,
): Promise<ReadonlyMap<string, string>> {
  const rows = await sql.unsafe<{ parent: string; child: string }[]>(
    `SELECT p.relname AS parent, c.relname AS child
     FROM pg_catalog.pg_index x JOIN pg_catalog.pg_inherits h ON h.inhparent = x.indexrelid
     JOIN pg_catalog.pg_index y ON y.indexrelid = h.inhrelid AND y.indrelid = ${old}
     JOIN pg_catalog.pg_class p ON p.oid = x.indexrelid JOIN pg_catalog.pg_class c ON c.oid = y.indexrelid
     WHERE x.indrelid = pg_catalog.to_regclass($1)`,
    [quoteName(table)],
  );
  return new Map(rows.map(({ parent, child }) => [parent, child]));
}

/** The tables that rows of a table are being moved from: its children. */
export async function listMoving(sql: Sql, table: QualifiedName): Promise<QualifiedName[]> {
  const rows = await sql.unsafe<(QualifiedName & { comment: string | null })[]>(
    `SELECT n.nspname AS schema, c.relname AS name, pg_catalog.obj_description(c.oid, 'pg_class') AS comment
     FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE h.inhparent = pg_catalog.to_regclass($1) ORDER BY 1, 2`,
    [quoteName(table)],
  );
  return rows.flatMap(({ comment, ...name }) => (readMark(comment, 'moving') ? [name] : []));
}
