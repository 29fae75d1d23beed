import type { Sql } from 'postgres';
import type { CreateIndexConcurrently } from '../sql/concurrent.ts';
import { quoteIdentifier, quoteLiteral } from './identifiers.ts';

/** An index of a table. */
export interface IndexState {
  readonly oid: number;
  /** Without its schema. */
  readonly index: string;
  /** As SQL. */
  readonly name: string;
  readonly valid: boolean;
  readonly definition: string;
  /** The pid of the session that builds it now. */
  readonly builder: number | null;
}

/** The indexes of a table that is named as SQL; none when there is no such table. */
export async function listIndexes(sql: Sql, table: string): Promise<IndexState[]> {
  return listWhere(sql, `x.indrelid = pg_catalog.to_regclass(${quoteLiteral(table)})`);
}

/** Copies that REINDEX CONCURRENTLY made and, when it was ended, could not take away. */
export async function listReindexLeftovers(sql: Sql): Promise<IndexState[]> {
  return listWhere(sql, `NOT x.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'`);
}

function listWhere(sql: Sql, condition: string): Promise<IndexState[]> {
  return sql.unsafe<IndexState[]>(`
    SELECT x.indexrelid AS oid, c.relname AS index, format('%I.%I', n.nspname, c.relname) AS name,
           x.indisvalid AS valid, ${definitionOf('x.indexrelid')} AS definition,
           (SELECT p.pid FROM pg_catalog.pg_stat_progress_create_index p
            WHERE p.datname = current_database() AND (p.index_relid = x.indexrelid OR p.relid = x.indrelid AND p.command LIKE 'REINDEX%')
            LIMIT 1) AS builder
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE ${condition}
    ORDER BY c.relname`);
}

/** From USING on: neither the index's name nor the table's. */
const definitionOf = (oid: string) =>
  `CASE WHEN (SELECT indisunique FROM pg_catalog.pg_index WHERE indexrelid = ${oid}) THEN 'UNIQUE ' ELSE '' END ||
   substring(pg_catalog.pg_get_indexdef(${oid}) FROM ' USING .*')`;

/**
 * The definition that an index would have, as `IndexState.definition` has it: the statement is carried out on an
 * empty copy of the table, in a transaction that is rolled back. Undefined when it cannot be.
 * `sql` must be outside a transaction.
 */
export async function definitionAsWritten(
  sql: Sql,
  { table, unique, definition }: CreateIndexConcurrently,
): Promise<string | undefined> {
  try {
    const [named] = await sql.unsafe<[{ name: string }]>(
      `SELECT relname AS name FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(${quoteLiteral(table)})`,
    );
    if (!named) return undefined;
    // The same name, since the definition may say "table.column".
    const copy = `pg_temp.${quoteIdentifier(named.name)}`;
    await sql.unsafe(`BEGIN; CREATE TEMPORARY TABLE ${quoteIdentifier(named.name)} (LIKE ${table}) ON COMMIT DROP;
      CREATE ${unique ? 'UNIQUE ' : ''}INDEX eduschema_as_written ON ${copy} ${definition}`);
    const [found] = await sql.unsafe<[{ definition: string }]>(
      `SELECT ${definitionOf("'pg_temp.eduschema_as_written'::regclass")} AS definition`,
    );
    return found?.definition;
  } catch {
    return undefined;
  } finally {
    await sql.unsafe('ROLLBACK');
  }
}
