import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { type Pairs, sides } from './pairs.ts';
import { at, equal, imageOf, numbered } from './row-sql.ts';
import { columnOf, type TableFacts } from './table-facts.ts';

/** What survivors get beside children: counters summed, columns filled where they have nothing. */
export interface Changes {
  /** As SQL. */
  readonly name: string;
  readonly table: TableFacts;
  readonly sums: readonly string[];
  readonly fill: readonly string[];
}

/** What would be in the survivors of a merge; undefined when nothing is summed or filled there. */
export function changesOf(
  table: TableFacts,
  { depth }: Pairs,
  sums: readonly string[],
  fill: readonly string[],
): Changes | undefined {
  if (sums.length + fill.length === 0) return undefined;
  return { name: `pg_temp.eduschema_changes_${depth}`, table, sums, fill };
}

const isEmpty = (table: TableFacts, alias: string, column: string) =>
  columnOf(table, column).category === 'S'
    ? `pg_catalog.btrim(coalesce(${at(alias, column)}::text, '')) = ''`
    : `${at(alias, column)} IS NULL`;

/** Columns that the change or a trigger behind it may touch. */
function watched({ table, sums, fill }: Changes): TableFacts['columns'] {
  const set = [...sums, ...fill];
  const wakes = table.touchy.some(
    (columns) => columns === null || columns.some((column) => set.includes(column)),
  );
  return wakes ? table.columns : table.columns.filter(({ name }) => set.includes(name));
}

/**
 * The statement that computes, before anything is moved, what each survivor will have: `t1 ...` its columns in the end,
 * and how it was. Absolute values, so that no trigger can count twice what is moved.
 */
export function computeChanges(changes: Changes, pairs: Pairs): string {
  const { name, table, sums, fill } = changes;
  const keys = sides(pairs, 's', 'p', pairs.key);
  const source = quoteName(table.name);
  const totals = sums.map((column, i) => `sum(${at('l', column)}) AS a${i + 1}`);
  const firsts = fill.map(
    (column, i) =>
      `(array_agg(${at('l', column)}::text ORDER BY p.n) FILTER (WHERE NOT (${isEmpty(table, 'l', column)})))[1] AS b${i + 1}`,
  );
  const summed = sums.map((column, i) => {
    const value = at('s', column);
    return `CASE WHEN a.a${i + 1} IS NULL THEN ${value} ELSE (coalesce(${value}, 0) + a.a${i + 1})::${columnOf(table, column).type} END AS t${i + 1}`;
  });
  const filled = fill.map((column, i) => {
    const value = at('s', column);
    return `CASE WHEN a.b${i + 1} IS NOT NULL AND ${isEmpty(table, 's', column)} THEN a.b${i + 1}::${columnOf(table, column).type} ELSE ${value} END AS t${sums.length + i + 1}`;
  });
  const names = pairs.key.map((_, i) => `k${i + 1}`);
  return `CREATE TEMPORARY TABLE ${name.replace('pg_temp.', '')} ON COMMIT DROP AS
SELECT ${numbered('a', 'k', names.length).join(', ')}, ${[...summed, ...filled].join(', ')}, ${imageOf('s', watched(changes))} AS was
FROM (SELECT ${keys.map((key, i) => `${key} AS k${i + 1}`).join(', ')}, ${[...totals, ...firsts].join(', ')}
      FROM ${pairs.name} p JOIN ${source} l ON ${equal('l', pairs.key, sides(pairs, 'l', 'p', pairs.key))} GROUP BY ${keys.join(', ')}) a
JOIN ${source} s ON ${equal('s', pairs.key, numbered('a', 'k', names.length))}`;
}

const own = ({ key }: Pairs) => numbered('c', 'k', key.length);

/** The statement that gives the survivors their values; those that have them already are left alone. */
export function applyChanges({ name, table, sums, fill }: Changes, pairs: Pairs): string {
  const columns = [...sums, ...fill];
  const set = columns.map((column, i) => `${quoteIdentifier(column)} = c.t${i + 1}`);
  const differs = columns.map((column, i) => `${at('s', column)}::text IS DISTINCT FROM c.t${i + 1}::text`);
  return `UPDATE ${quoteName(table.name)} s SET ${set.join(', ')} FROM ${name} c
    WHERE ${equal('s', pairs.key, own(pairs))} AND (${differs.join(' OR ')})`;
}

/** The statement that writes into the log what is different in the survivors now. */
export function logChanges(
  changes: Changes,
  pairs: Pairs,
  { log, entry }: { readonly log: string; readonly entry: string },
): string {
  const keys = own(pairs).map((key) => `${key}::text`);
  return `INSERT INTO ${log} (run, batch, step, op, target, keys, old_values, new_values)
    SELECT ${entry}, 'changed', ${pairs.table}, ARRAY[${keys.join(', ')}], d.old, d.new
    FROM ${changes.name} c JOIN ${quoteName(changes.table.name)} s ON ${equal('s', pairs.key, own(pairs))}
    CROSS JOIN LATERAL (SELECT ${imageOf('s', watched(changes))} AS is OFFSET 0) i
    CROSS JOIN LATERAL (SELECT jsonb_object_agg(e.key, e.value) AS old, jsonb_object_agg(e.key, i.is -> e.key) AS new
      FROM pg_catalog.jsonb_each(c.was) e WHERE i.is -> e.key IS DISTINCT FROM e.value) d
    WHERE d.old IS NOT NULL`;
}

/** A query of the sums that the survivors should have and have: `wanted`, `found`, an array each, and how many rows differ. */
export function checkChanges({ name, table, sums }: Changes, pairs: Pairs): string {
  const total = (values: readonly string[]) =>
    values.length === 0
      ? `'[]'::jsonb`
      : `pg_catalog.to_jsonb(ARRAY[${values.map((value) => `coalesce(sum(${value}), 0)::text`).join(', ')}])`;
  const differs = sums.map((column, i) => `${at('s', column)}::text IS DISTINCT FROM c.t${i + 1}::text`);
  return `SELECT ${total(sums.map((_, i) => `c.t${i + 1}`))} AS wanted, ${total(sums.map((column) => at('s', column)))} AS found,
      (count(*) FILTER (WHERE ${differs.join(' OR ') || 'false'}))::float8 AS different
    FROM ${name} c JOIN ${quoteName(table.name)} s ON ${equal('s', pairs.key, own(pairs))}`;
}
