import type { TransactionSql } from 'postgres';
import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { inHalves, type Refused } from './in-halves.ts';
import { at, equal, numbered } from './row-sql.ts';
import { columnOf, type TableFacts } from './table-facts.ts';
import type { UndoStep } from './undo-batch.ts';

/** Values that rows are to have when a batch is undone, whatever triggers make of them meanwhile. */
export interface Back {
  /** A temporary table: `k1 ...` and `t1 ...`, as SQL. */
  readonly name: string;
  readonly table: TableFacts;
  /** Its number. */
  readonly target: number;
  readonly key: readonly string[];
  readonly columns: readonly string[];
}

/** Takes back what was summed and filled in rows that stayed. */
export async function undoChanged({
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
    `SELECT count(*)::float8 AS rows, pg_catalog.to_jsonb(ARRAY(SELECT DISTINCT k FROM ${log} l, jsonb_object_keys(l.old_values) k WHERE ${where} ORDER BY k)) AS columns
     FROM ${log} l WHERE ${where}`,
  );
  if (!table || !key?.every((column) => table.columns.some(({ name }) => name === column))) {
    tally.addProblem(target, 'are of a table that is gone', logged.rows);
    await sql.unsafe(`UPDATE ${log} l SET problem = 'the table is gone' WHERE ${where}`);
    return [];
  }
  const columns = logged.columns.filter((name) =>
    table.columns.some((column) => column.name === name && !column.generated),
  );
  const sums = new Map(run.targets.sums).get(target) ?? [];
  const keys = key.map((column, i) => `(l.keys[${i + 1}])::${columnOf(table, column).type}`);
  const name = `pg_temp.eduschema_back_${step}`;
  await sql.unsafe(
    `SELECT count(*) FROM (SELECT FROM ${quoteName(table.name)} t JOIN ${log} l ON ${equal('t', key, keys)} WHERE ${where}
      ORDER BY ${key.map((column) => at('t', column)).join(', ')} FOR UPDATE OF t) x`,
  );
  const [values, problems] = [
    columns.map((column) => valueBack(table, column, sums)),
    [
      ...columns.map((column) => problemOf(table, column, sums)),
      ...logged.columns
        .filter((name) => !table.columns.some((column) => column.name === name))
        .map((column) => `CASE WHEN ${wasChanged(column)} THEN ${quoteLiteral(column)} END`),
    ],
  ];
  await sql.unsafe(`CREATE TEMPORARY TABLE ${name.replace('pg_temp.', '')} ON COMMIT DROP AS
    SELECT row_number() OVER () AS n, NULL::text AS refused, l.keys, ${[...key.map((column, i) => `${at('t', column)} AS k${i + 1}`), ...values.map((value, i) => `${value} AS t${i + 1}`)].join(', ')},
           nullif(concat_ws(', ', ${problems.join(', ')}), '') AS problem
    FROM ${log} l JOIN ${quoteName(table.name)} t ON ${equal('t', key, keys)} WHERE ${where}`);
  const back = { name, table, target, key, columns };
  const refused = columns.length > 0 ? await apply(sql, back, logged.rows) : [];
  for (const { n, reason } of refused) {
    await sql.unsafe(`UPDATE ${name} SET refused = ${quoteLiteral(reason)}, problem = NULL WHERE n = ${n}`);
    tally.addProblem(target, `could not be set back: ${reason}`, 1);
  }
  const [found] = await sql.unsafe<[{ rows: number; changed: number }]>(
    `SELECT count(*)::float8 AS rows, (count(*) FILTER (WHERE problem IS NOT NULL))::float8 AS changed FROM ${name}`,
  );
  tally.add(target, 'changed', found.rows - found.changed - refused.length);
  tally.addProblem(target, 'were changed since', found.changed);
  tally.addProblem(target, 'are gone since', logged.rows - found.rows, false);
  await sql.unsafe(
    `DELETE FROM ${log} l USING ${name} b WHERE ${where} AND b.keys = l.keys AND b.problem IS NULL AND b.refused IS NULL`,
  );
  await sql.unsafe(
    `UPDATE ${log} l SET problem = coalesce((SELECT coalesce('could not be set back: ' || b.refused, 'changed since: ' || b.problem) FROM ${name} b WHERE b.keys = l.keys), 'the row is gone since') WHERE ${where}`,
  );
  if (refused.length > 0) await sql.unsafe(`DELETE FROM ${name} WHERE refused IS NOT NULL`);
  return [back];
}

/** Returns the rows that a constraint or a trigger keeps as they are. */
const apply = (sql: TransactionSql, back: Back, rows: number): Promise<Refused[]> =>
  inHalves(sql, { from: 1, to: rows }, async (inner, { from, to }) => {
    await inner.unsafe(`${applyBack(back, back.columns)} AND b.n BETWEEN ${from} AND ${to}`);
  });

const was = (column: string) => `(l.old_values ->> ${quoteLiteral(column)})`;
const became = (column: string) => `(l.new_values ->> ${quoteLiteral(column)})`;
const wasChanged = (column: string) => `jsonb_exists(l.old_values, ${quoteLiteral(column)})`;

/** Counters by what was added, anything else only where it is what it was left as. */
function valueBack(table: TableFacts, column: string, sums: readonly string[]): string {
  const { type } = columnOf(table, column);
  const now = at('t', column);
  if (!sums.includes(column))
    return `CASE WHEN ${wasChanged(column)} AND ${now}::text IS NOT DISTINCT FROM ${became(column)} THEN ${was(column)}::${type} ELSE ${now} END`;
  const less = `${now} - (${became(column)}::numeric - coalesce(${was(column)}::numeric, 0))`;
  // What nobody has touched since is as it was to the last digit; a difference of floats would not be.
  return `CASE WHEN ${wasChanged(column)} AND ${now}::text = ${became(column)} THEN ${was(column)}::${type}
    WHEN ${wasChanged(column)} AND NOT (${isTooLow(table, column)})
    THEN CASE WHEN ${was(column)} IS NULL AND ${less} = 0 THEN NULL ELSE (${less})::${type} END ELSE ${now} END`;
}

/** A counter that was set back since. */
function isTooLow(_table: TableFacts, column: string): string {
  const added = `(${became(column)}::numeric - coalesce(${was(column)}::numeric, 0))`;
  return `${at('t', column)} IS NULL OR ${at('t', column)}::text <> ${became(column)} AND ${added} > 0 AND ${at('t', column)} >= 0 AND ${at('t', column)} < ${added}`;
}

function problemOf(table: TableFacts, column: string, sums: readonly string[]): string {
  const isLeft = sums.includes(column)
    ? isTooLow(table, column)
    : `${at('t', column)}::text IS DISTINCT FROM ${became(column)}`;
  return `CASE WHEN ${wasChanged(column)} AND (${isLeft}) THEN ${quoteLiteral(column)} END`;
}

function applyBack({ name, table, key, columns }: Back, wanted: readonly string[]): string {
  const places = wanted.map((column) => columns.indexOf(column) + 1);
  const set = wanted.map((column, i) => `${quoteIdentifier(column)} = b.t${places[i]}`);
  const differs = wanted.map(
    (column, i) => `${at('t', column)}::text IS DISTINCT FROM b.t${places[i]}::text`,
  );
  return `UPDATE ${quoteName(table.name)} t SET ${set.join(', ')} FROM ${name} b
    WHERE ${equal('t', key, numbered('b', 'k', key.length))} AND (${differs.join(' OR ')})`;
}

/**
 * Sets once more, alone, what triggers have changed behind it: a time of change, a counter. Returns the columns that are not
 * as they should be even so, and in how many rows.
 */
export async function settleChanged(
  sql: TransactionSql,
  back: Back,
): Promise<{ readonly columns: readonly string[]; readonly rows: number }> {
  const first = await findDifferent(sql, back, back.columns);
  if (first.rows === 0) return first;
  await sql.unsafe(applyBack(back, first.columns));
  return findDifferent(sql, back, first.columns);
}

async function findDifferent(
  sql: TransactionSql,
  { name, table, key, columns }: Back,
  wanted: readonly string[],
): Promise<{ readonly columns: readonly string[]; readonly rows: number }> {
  if (wanted.length === 0) return { columns: [], rows: 0 };
  const differs = wanted.map(
    (column) => `${at('t', column)}::text IS DISTINCT FROM b.t${columns.indexOf(column) + 1}::text`,
  );
  const counts = differs.map((one, i) => `count(*) FILTER (WHERE ${one}) > 0 AS d${i + 1}`);
  const [found = {}] = await sql.unsafe<Record<string, boolean | number>[]>(
    `SELECT (count(*) FILTER (WHERE ${differs.join(' OR ')}))::float8 AS rows, ${counts.join(', ')}
     FROM ${name} b JOIN ${quoteName(table.name)} t ON ${equal('t', key, numbered('b', 'k', key.length))}`,
  );
  return { columns: wanted.filter((_, i) => found[`d${i + 1}`]), rows: Number(found.rows ?? 0) };
}
