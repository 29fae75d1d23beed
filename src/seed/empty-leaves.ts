import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { outsideAll, type SeededTable } from './seeded-tables.ts';

/**
 * Empties the partitions in which all rows were seeded, by TRUNCATE, and returns how many rows they had. Where a trigger
 * or a foreign key wants to know of each row, nothing is done here.
 */
export async function emptyLeaves(
  sql: TransactionSql,
  { part, column, ranges }: SeededTable,
): Promise<number> {
  if (column === undefined || ranges.length === 0) return 0;
  const leaves = await sql.unsafe<QualifiedName[]>(
    `SELECT n.nspname AS schema, c.relname AS name
     FROM pg_partition_tree($1::regclass) p JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.isleaf AND p.level > 0 AND c.relkind = 'r'
       AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid IN (p.relid, $1::regclass))
       AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid IN (p.relid, $1::regclass) AND NOT t.tgisinternal AND t.tgtype & 40 <> 0)
     ORDER BY 1, 2`,
    [quoteName(part)],
  );
  let removed = 0;
  for (const leaf of leaves) {
    const table = quoteName(leaf);
    const strangers = outsideAll(quoteIdentifier(column), ranges).map(
      (condition) => `EXISTS (SELECT FROM ${table} WHERE ${condition})`,
    );
    const [found] = await sql.unsafe<{ mixed: boolean }[]>(`SELECT ${strangers.join(' OR ')} AS mixed`);
    if (found?.mixed) continue;
    await sql.unsafe(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    // Somebody may have written to it by then.
    const [counted] = await sql.unsafe<{ rows: string; mixed: boolean }[]>(
      `SELECT count(*)::text AS rows, ${strangers.join(' OR ')} AS mixed FROM ${table}`,
    );
    if (counted?.mixed || counted?.rows === '0') continue;
    await sql.unsafe(`TRUNCATE ONLY ${table}`);
    removed += Number(counted?.rows ?? 0);
  }
  return removed;
}
