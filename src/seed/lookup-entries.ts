import type { TransactionSql } from 'postgres';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import type { TargetTable } from './find-table.ts';
import type { Lookup } from './table.ts';

/** The keys of a list's entries, in their order; null for an entry that is not in the database. */
export async function findEntries(
  sql: TransactionSql,
  list: Lookup,
  { name }: TargetTable,
): Promise<(bigint | null)[]> {
  const by = quoteIdentifier(list.by);
  const match = list.match ?? by;
  const rows = await sql.unsafe<{ key: string | null }[]>(
    `SELECT there.key::text AS key
     FROM (SELECT n, (${match})::text AS matched FROM jsonb_array_elements_text($1::text::jsonb) WITH ORDINALITY AS given (${by}, n)) wanted
     LEFT JOIN (SELECT ${quoteIdentifier(list.key)} AS key, (${match})::text AS matched FROM ${quoteName(name)}) there
       USING (matched)
     ORDER BY n`,
    [JSON.stringify(list.values.map((value) => String(value[list.by])))],
  );
  return rows.map(({ key }) => (key === null ? null : BigInt(key)));
}

/**
 * Adds the entries that are missing, with keys from `firstKey` on. Returns the keys of all entries, and those that
 * were added. Throws when an entry is not there even so.
 */
export async function addEntries(
  sql: TransactionSql,
  list: Lookup,
  target: TargetTable,
  firstKey: bigint,
): Promise<{ keys: bigint[]; added: bigint[] }> {
  const before = await findEntries(sql, list, target);
  const missing = list.values.filter((_, index) => before[index] === null);
  const rows = missing.map((value, index) => ({ [list.key]: String(firstKey + BigInt(index)), ...value }));
  const columns = [list.key, ...Object.keys(list.values[0] ?? {})].map(quoteIdentifier).join(', ');
  const table = quoteName(target.name);
  const added =
    rows.length === 0
      ? []
      : await sql.unsafe<{ key: string }[]>(
          `INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE
           SELECT ${columns} FROM jsonb_populate_recordset(NULL::${table}, $1::text::jsonb)
           ON CONFLICT DO NOTHING RETURNING ${quoteIdentifier(list.key)}::text AS key`,
          [JSON.stringify(rows)],
        );
  const keys = added.length === 0 ? before : await findEntries(sql, list, target);
  const lost = keys.indexOf(null);
  if (lost >= 0)
    throw new EduschemaError(
      'seed-failed',
      `${list.values[lost]?.[list.by]} could not be added to ${target.name.schema}.${target.name.name}`,
      { hint: `another row is in its way: see the unique indexes of the table, and "match" of the list` },
    );
  return { keys: keys as bigint[], added: added.map(({ key }) => BigInt(key)) };
}
