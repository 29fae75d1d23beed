import type { Sql } from 'postgres';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { withSuffix } from '../partition-name.ts';
import { findKey, type KeyColumn } from './key.ts';

/** Two tables. What changes in the first is noted in `changes`, until it is made good in the second. */
export interface Pair {
  readonly from: QualifiedName;
  readonly to: QualifiedName;
  /** The table of keys of which the second table may have another row than the first, or none. */
  readonly changes: QualifiedName;
  readonly key: readonly KeyColumn[];
  /** What is copied: all columns but those that the server generates from others. */
  readonly columns: readonly string[];
  /** Who owns the tables. */
  readonly owner: string;
}

/** The pair of `from`, whose primary key counts, and `to`, whose rows are found by that key and `partitionColumn`. */
export async function findPair(
  sql: Pick<Sql, 'unsafe'>,
  { from, to, partitionColumn }: Pick<Pair, 'from' | 'to'> & { readonly partitionColumn: string },
): Promise<Pair> {
  const rows = await sql.unsafe<{ name: string; owner: string }[]>(
    `SELECT a.attname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
     WHERE c.oid = $1::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ORDER BY a.attnum`,
    [quoteName(from)],
  );
  return {
    from,
    to,
    changes: changesOf(from),
    key: await findKey(sql, from, partitionColumn),
    columns: rows.map(({ name }) => name),
    owner: rows[0]?.owner ?? '',
  };
}

/** The name of the table in which changes of `table` are noted. */
export function changesOf({ schema, name }: QualifiedName): QualifiedName {
  return { schema, name: withSuffix(name, '_eduschema_changes') };
}

/** Turned round: what changes in the second table is made good in the first. */
export function reversed(pair: Pair): Pair {
  return { ...pair, from: pair.to, to: pair.from };
}
