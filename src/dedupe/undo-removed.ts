import type { TransactionSql } from 'postgres';
import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { inHalves, leftOut, type Range, type Refused } from './in-halves.ts';
import { columnOf } from './table-facts.ts';
import type { UndoStep } from './undo-batch.ts';
import type { Back } from './undo-changed.ts';
import { setAsTheyWere } from './undo-overwritten.ts';

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
  const refused = await insertRows(sql, insert, logged.rows);
  for (const { n, reason } of refused) {
    await sql.unsafe(
      `UPDATE ${log} l SET problem = ${quoteLiteral(reason)} FROM ${name} r WHERE ${where} AND r.n = ${n} AND r.keys = l.keys`,
    );
    await sql.unsafe(`DELETE FROM ${name} WHERE n = ${n}`);
    tally.addProblem(target, `could not be put back: ${reason}`, 1);
  }
  const sums = new Map(run.targets.sums).get(target) ?? [];
  const isKnown = key?.every((column) => columns.includes(column)) === true;
  if (isKnown) {
    const returned = { name, rows: logged.rows, table, key, columns };
    const rest = columns.filter((column) => !key.includes(column) && !sums.includes(column));
    const other = await setAsTheyWere(sql, returned, rest);
    if (other) {
      const which = other.columns.join(', ');
      const { count } = await sql.unsafe(
        `UPDATE ${log} l SET problem = ${quoteLiteral(`${backWithout}its ${which}`)} FROM ${name} r JOIN ${quoteName(table.name)} t ON ${other.where}
         WHERE ${where} AND r.keys = l.keys`,
      );
      tally.addProblem(target, `are back with another ${which}, which a trigger sets`, count);
    }
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
  if (!isKnown || sums.length === 0) return [];
  const again = `pg_temp.eduschema_sums_${step}`;
  const pick = (column: string) => `r.t${columns.indexOf(column) + 1}`;
  const kept = sums.filter((column) => columns.includes(column));
  await sql.unsafe(`CREATE TEMPORARY TABLE ${again.replace('pg_temp.', '')} ON COMMIT DROP AS
    SELECT ${key.map((column, i) => `${pick(column)} AS k${i + 1}`).join(', ')}, ${kept.map((column, i) => `${pick(column)} AS t${i + 1}`).join(', ')} FROM ${name} r`);
  return [{ name: again, table, target, key, columns: kept }];
}

/** A row can refer to another that came after it, as its half was tried first: once more, as long as that helps. */
async function insertRows(sql: TransactionSql, insert: string, rows: number): Promise<Refused[]> {
  const one = async (inner: TransactionSql, { from, to }: Range) => {
    const { count } = await inner.unsafe(`${insert} WHERE r.n BETWEEN ${from} AND ${to}`);
    if (count !== to - from + 1) throw new Error(leftOut);
  };
  let refused = await inHalves(sql, { from: 1, to: rows }, one);
  for (let before = Number.POSITIVE_INFINITY; refused.length > 0 && refused.length < before; ) {
    before = refused.length;
    const again: Refused[] = [];
    for (const { n } of refused) again.push(...(await inHalves(sql, { from: n, to: n }, one)));
    refused = again;
  }
  return refused;
}
