import { quoteIdentifier, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { inHalves, type Range } from './in-halves.ts';
import { at, equal, imageOf } from './row-sql.ts';
import { columnOf, type TableFacts } from './table-facts.ts';
import type { UndoStep } from './undo-batch.ts';
import { backWithout } from './undo-removed.ts';

/** Lets children refer to what they referred to, where they still refer to what they were moved to. */
export async function undoMoved({ sql, run, tables, log, where, target, tally }: UndoStep): Promise<void> {
  const reference = run.targets.references[target] as (typeof run.targets.references)[number];
  const [child, parent] = [tables[reference.child], tables[reference.parent]];
  const { key } = run.targets.tables[reference.child] as (typeof run.targets.tables)[number];
  const width = key?.length ?? 1;
  const ks = Array.from({ length: width }, (_, i) => `k${i + 1}`);
  const refused = `${log} r WHERE r.run = ${run.run} AND r.op = 'removed' AND r.target = ${reference.parent} AND r.problem IS NOT NULL AND NOT starts_with(r.problem, ${quoteLiteral(backWithout)})`;
  await sql.unsafe('DROP TABLE IF EXISTS pg_temp.eduschema_moved');
  await sql.unsafe(`CREATE TEMPORARY TABLE eduschema_moved ON COMMIT DROP AS SELECT row_number() OVER () AS n, NULL::text AS refused, l.old_values AS old, l.new_values AS new, ${ks.map((k) => `k.${k}`).join(', ')}
    FROM ${log} l CROSS JOIN LATERAL unnest(${ks.map((_, i) => `(l.keys[${i + 1}])::text[]`).join(', ')}) AS k (${ks.join(', ')}) WHERE ${where}`);
  await sql.unsafe('ANALYZE pg_temp.eduschema_moved');
  const isThere =
    child &&
    parent &&
    [...reference.columns, ...(key ?? [])].every((name) =>
      child.columns.some((column) => column.name === name),
    );
  if (isThere) {
    const back = key
      ? backByKey(child, parent, reference, key, refused)
      : backByContent(child, parent, reference, refused);
    const [counted] = await sql.unsafe<[{ rows: number }]>(
      'SELECT count(*)::float8 AS rows FROM pg_temp.eduschema_moved',
    );
    const stand = await inHalves(sql, { from: 1, to: counted.rows }, async (inner, range) => {
      await inner.unsafe(back(range));
    });
    for (const { n, reason } of stand)
      await sql.unsafe(`UPDATE pg_temp.eduschema_moved SET refused = ${quoteLiteral(reason)} WHERE n = ${n}`);
    const [rest] = await sql.unsafe<[{ rows: number }]>(
      'SELECT count(*)::float8 AS rows FROM pg_temp.eduschema_moved',
    );
    tally.add(reference.child, 'moved', counted.rows - rest.rows);
  }
  const reason = isThere ? reasonOf(child, parent, reference, key, refused) : `'are of a table that is gone'`;
  const left = await sql.unsafe<{ reason: string; rows: number }[]>(
    `SELECT ${reason} AS reason, count(*)::float8 AS rows FROM pg_temp.eduschema_moved m GROUP BY 1`,
  );
  for (const { reason: why, rows } of left) tally.addProblem(reference.child, why, rows, why !== gone);
  if (left.length > 0)
    await sql.unsafe(`INSERT INTO ${log} (run, batch, step, op, target, keys, old_values, new_values, problem)
      SELECT x.run, x.batch, x.step, 'moved', ${target}, ARRAY[${ks.map((k) => `array_agg(m.${k})::text`).join(', ')}], m.old, m.new, m.reason
      FROM (SELECT m.*, ${reason} AS reason FROM pg_temp.eduschema_moved m) m
      CROSS JOIN (SELECT l.run, l.batch, l.step FROM ${log} l WHERE ${where} LIMIT 1) x
      GROUP BY x.run, x.batch, x.step, m.old, m.new, m.reason`);
  await sql.unsafe(`DELETE FROM ${log} l WHERE ${where}`);
}

type MovedReference = UndoStep['run']['targets']['references'][number];

const gone = 'are gone since';

const typed = (table: TableFacts, source: string, column: string, i: number) =>
  `(m.${source} ->> ${i})::${columnOf(table, column).type}`;

/** The row that it referred to is there, and is that row: one that could not be put back can have given its key to another. */
function isBack(
  child: TableFacts,
  parent: TableFacts,
  { columns, referred }: MovedReference,
  refused: string,
): string {
  const olds = columns.map((column, i) => typed(child, 'old', column, i));
  const same = referred.map((column, i) => `r.old_values ->> ${quoteLiteral(column)} = m.old ->> ${i}`);
  return `(EXISTS (SELECT FROM ${quoteName(parent.name)} p WHERE ${equal('p', referred, olds)})
    AND NOT EXISTS (SELECT FROM ${refused} AND ${same.join(' AND ')}))`;
}

const setOf = (child: TableFacts, { columns }: MovedReference) =>
  columns.map((column, i) => `${quoteIdentifier(column)} = ${typed(child, 'old', column, i)}`).join(', ');

const isAsLeft = (child: TableFacts, { columns }: MovedReference) =>
  columns
    .map(
      (column, i) => `${at('c', column)}::text IS NOT DISTINCT FROM ${typed(child, 'new', column, i)}::text`,
    )
    .join(' AND ');

const forget = `)
DELETE FROM pg_temp.eduschema_moved m USING back b WHERE m.ctid = b.id`;

const within = ({ from, to }: Range) => `m.n BETWEEN ${from} AND ${to}`;

function keyOf(child: TableFacts, key: readonly string[]): string {
  return equal(
    'c',
    key,
    key.map((column, i) => `m.k${i + 1}::${columnOf(child, column).type}`),
  );
}

function backByKey(
  child: TableFacts,
  parent: TableFacts,
  reference: MovedReference,
  key: readonly string[],
  refused: string,
): (range: Range) => string {
  return (range) => `WITH back AS (
  UPDATE ${quoteName(child.name)} c SET ${setOf(child, reference)} FROM pg_temp.eduschema_moved m
  WHERE ${keyOf(child, key)} AND ${isAsLeft(child, reference)} AND ${isBack(child, parent, reference, refused)} AND ${within(range)} RETURNING m.ctid AS id
${forget}`;
}

/** Rows without a key are known by all that is in them: of several that are the same, any will do. */
function backByContent(
  child: TableFacts,
  parent: TableFacts,
  reference: MovedReference,
  refused: string,
): (range: Range) => string {
  const news = reference.columns.map((column, i) => typed(child, 'new', column, i)).join(', ');
  const image = `${imageOf('c', child.columns)}::text`;
  return (
    range,
  ) => `WITH wanted AS (SELECT m.ctid AS id, m.old, m.k1, row_number() OVER (PARTITION BY m.k1) AS n FROM pg_temp.eduschema_moved m
  WHERE ${isBack(child, parent, reference, refused)} AND ${within(range)}
), found AS (
  SELECT c.ctid AS place, c.tableoid AS part, ${image} AS k1, row_number() OVER (PARTITION BY ${image}) AS n
  FROM ${quoteName(child.name)} c WHERE (${reference.columns.map((column) => at('c', column)).join(', ')}) IN (SELECT ${news} FROM pg_temp.eduschema_moved m)
), back AS (
  UPDATE ${quoteName(child.name)} c SET ${setOf(child, reference)} FROM wanted m JOIN found f USING (k1, n)
  WHERE c.ctid = f.place AND c.tableoid = f.part RETURNING m.id
${forget}`;
}

function reasonOf(
  child: TableFacts,
  parent: TableFacts,
  reference: MovedReference,
  key: readonly string[] | null,
  refused: string,
): string {
  const isGone = key
    ? `NOT EXISTS (SELECT FROM ${quoteName(child.name)} c WHERE ${keyOf(child, key)})`
    : 'false';
  return `CASE WHEN m.refused IS NOT NULL THEN 'could not be moved back: ' || m.refused WHEN ${isGone} THEN '${gone}' WHEN NOT ${isBack(child, parent, reference, refused)} THEN 'refer to a row that is not back' ELSE 'were changed since' END`;
}
