import type { TransactionSql } from 'postgres';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { inHalves } from './in-halves.ts';
import { at, equal } from './row-sql.ts';
import type { TableFacts } from './table-facts.ts';

/** Rows that are back: a temporary table with what they are to have, as SQL, and its columns `t1 ...`. */
interface Returned {
  readonly name: string;
  readonly rows: number;
  readonly table: TableFacts;
  readonly key: readonly string[];
  readonly columns: readonly string[];
}

/** What rows have otherwise than they should: the columns, and a condition on the row `t` and what it should be, `r`. */
export interface Overwritten {
  readonly columns: readonly string[];
  readonly where: string;
}

/**
 * Gives rows that are back, once more and alone, what a trigger has changed in them, such as a time of change; returns what
 * is not as it was even so.
 */
export async function setAsTheyWere(
  sql: TransactionSql,
  returned: Returned,
  wanted: readonly string[],
): Promise<Overwritten | undefined> {
  const found = await findOverwritten(sql, returned, wanted);
  if (!found) return undefined;
  const { name, rows, table } = returned;
  const set = found.columns.map((column) => `${quoteIdentifier(column)} = ${should(returned, column)}`);
  await inHalves(sql, { from: 1, to: rows }, async (inner, { from, to }) => {
    await inner.unsafe(
      `UPDATE ${quoteName(table.name)} t SET ${set.join(', ')} FROM ${name} r WHERE ${found.where} AND r.n BETWEEN ${from} AND ${to}`,
    );
  });
  return findOverwritten(sql, returned, found.columns);
}

const should = ({ columns }: Returned, column: string) => `r.t${columns.indexOf(column) + 1}`;

async function findOverwritten(
  sql: TransactionSql,
  returned: Returned,
  wanted: readonly string[],
): Promise<Overwritten | undefined> {
  if (wanted.length === 0) return undefined;
  const { name, table, key } = returned;
  const same = equal(
    't',
    key,
    key.map((column) => should(returned, column)),
  );
  const differs = (column: string) =>
    `${at('t', column)}::text IS DISTINCT FROM ${should(returned, column)}::text`;
  const [found = {}] = await sql.unsafe<Record<string, boolean>[]>(
    `SELECT ${wanted.map((column, i) => `coalesce(bool_or(${differs(column)}), false) AS d${i + 1}`).join(', ')}
     FROM ${name} r JOIN ${quoteName(table.name)} t ON ${same}`,
  );
  const columns = wanted.filter((_, i) => found[`d${i + 1}`]);
  if (columns.length === 0) return undefined;
  return { columns, where: `${same} AND (${columns.map(differs).join(' OR ')})` };
}
