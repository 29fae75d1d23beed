import type { TransactionSql } from 'postgres';
import { isServerError } from '../db/explain-error.ts';
import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { columnOf } from './table-facts.ts';
import type { UndoStep } from './undo-batch.ts';
import type { Back } from './undo-changed.ts';

/** What is noted in the log for a row that is back, but has lost columns meanwhile. */
export const backWithout = 'is back without ';

/** Puts rows back that were removed. One that the server does not take is left in the log, with what it said. */
export async function undoRemoved({
  sql,
  run,
  tables,
  log,
  where,
  step,
  target,
  tally,
}: UndoStep): Promise<Back[]> {
  const table = tables[target];
  const { key } = run.targets.tables[target] as (typeof run.targets.tables)[number];
  const [logged] = await sql.unsafe<[{ rows: number; columns: string[] }]>(
    `SELECT count(*)::float8 AS rows, pg_catalog.to_jsonb(ARRAY(SELECT jsonb_object_keys(x.old_values) FROM (SELECT l.old_values FROM ${log} l WHERE ${where} LIMIT 1) x)) AS columns
     FROM ${log} l WHERE ${where}`,
  );
  if (!table) {
    tally.addProblem(target, 'are of a table that is gone', logged.rows);
    await sql.unsafe(`UPDATE ${log} l SET problem = 'the table is gone' WHERE ${where}`);
    return [];
  }
  const columns = table.columns
    .filter(({ name, generated }) => !generated && logged.columns.includes(name))
    .map(({ name }) => name);
  const name = `pg_temp.eduschema_rows_${step}`;
  const values = columns.map(
    (column, i) => `(l.old_values ->> ${quoteLiteral(column)})::${columnOf(table, column).type} AS t${i + 1}`,
  );
  await sql.unsafe(`CREATE TEMPORARY TABLE ${name.replace('pg_temp.', '')} ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY l.keys) AS n, l.keys, ${values.join(', ')} FROM ${log} l WHERE ${where}`);
  const insert = `INSERT INTO ${quoteName(table.name)} (${columns.map(quoteIdentifier).join(', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${columns.map((_, i) => `r.t${i + 1}`).join(', ')} FROM ${name} r`;
  const refused: { readonly n: number; readonly reason: string }[] = [];
  await insertRows(sql, insert, 1, logged.rows, refused);
  await insertAgain(sql, insert, refused);
  for (const { n, reason } of refused) {
    await sql.unsafe(
      `UPDATE ${log} l SET problem = ${quoteLiteral(reason)} FROM ${name} r WHERE ${where} AND r.n = ${n} AND r.keys = l.keys`,
    );
    await sql.unsafe(`DELETE FROM ${name} WHERE n = ${n}`);
    tally.addProblem(target, `could not be put back: ${reason}`, 1);
  }
  const lost = logged.columns.filter((column) => !table.columns.some((one) => one.name === column));
  if (lost.length > 0) {
    const had = lost.map((column) => `l.old_values ->> ${quoteLiteral(column)} IS NOT NULL`).join(' OR ');
    const without = lost.join(', ');
    const { count } = await sql.unsafe(
      `UPDATE ${log} l SET problem = ${quoteLiteral(`${backWithout}${without}`)} WHERE ${where} AND (${had})`,
    );
    tally.addProblem(target, `are back without what they had in ${without}, which is gone`, count);
  }
  await sql.unsafe(`DELETE FROM ${log} l WHERE ${where}`);
  tally.add(target, 'restored', logged.rows - refused.length);
  const sums = new Map(run.targets.sums).get(target) ?? [];
  if (!key?.every((column) => columns.includes(column)) || sums.length === 0) return [];
  const again = `pg_temp.eduschema_sums_${step}`;
  const pick = (column: string) => `r.t${columns.indexOf(column) + 1}`;
  const kept = sums.filter((column) => columns.includes(column));
  await sql.unsafe(`CREATE TEMPORARY TABLE ${again.replace('pg_temp.', '')} ON COMMIT DROP AS
    SELECT ${key.map((column, i) => `${pick(column)} AS k${i + 1}`).join(', ')}, ${kept.map((column, i) => `${pick(column)} AS t${i + 1}`).join(', ')} FROM ${name} r`);
  return [{ name: again, table, key, columns: kept }];
}

/** A row can refer to another that came after it, as its half was tried first: once more, as long as that helps. */
async function insertAgain(
  sql: TransactionSql,
  insert: string,
  refused: { n: number; reason: string }[],
): Promise<void> {
  for (let before = refused.length + 1; refused.length < before && refused.length > 0; ) {
    const again = refused.splice(0);
    before = again.length;
    for (const { n } of again) await insertRows(sql, insert, n, n, refused);
  }
}

const leftOut = 'a trigger or a rule of the table leaves it out';

/** All at once; where the server refuses, halves, down to the row that it does not take. */
async function insertRows(
  sql: TransactionSql,
  insert: string,
  from: number,
  to: number,
  refused: { n: number; reason: string }[],
): Promise<void> {
  if (from > to) return;
  try {
    await sql.savepoint(async (inner) => {
      const { count } = await inner.unsafe(`${insert} WHERE r.n BETWEEN ${from} AND ${to}`);
      if (count !== to - from + 1) throw new Error(leftOut);
    });
  } catch (error) {
    // 23: a constraint stands against the row; P0: a trigger.
    const isRefused = isServerError(error)
      ? /^(23|P0)/.test(error.code)
      : error instanceof Error && error.message === leftOut;
    if (!isRefused) throw error;
    if (from === to) {
      refused.push({ n: from, reason: (error as Error).message });
      return;
    }
    const middle = Math.floor((from + to) / 2);
    await insertRows(sql, insert, from, middle, refused);
    await insertRows(sql, insert, middle + 1, to, refused);
  }
}
