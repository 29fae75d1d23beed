import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { among } from './among.ts';
import { type Pairs, sides } from './pairs.ts';
import type { Reference } from './references.ts';
import { at, equal, imageOf } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { columnOf, nameOf, type TableFacts } from './table-facts.ts';

/** Whether a table refers to itself. */
export const isSelf = ({ child, parent }: Reference): boolean => child === parent;

/** The columns that become NULL where a row would come to refer to itself; none when all of them need a value. */
export function setsNull(child: TableFacts, { columns }: Reference): readonly string[] {
  return columns.filter((column) => columnOf(child, column).nullable);
}

/** Conditions that leave out rows of a table which go themselves. */
export function going(table: number, alias: string, active: readonly Pairs[]): string[] {
  return active
    .filter((pairs) => pairs.table === table)
    .map(
      (pairs) =>
        `NOT EXISTS (SELECT FROM ${pairs.name} a WHERE ${equal(alias, pairs.key, sides(pairs, 'l', 'a', pairs.key))})`,
    );
}

/** Children of a loser that share a row of the log. */
const keysInARow = 10_000;

/**
 * The statement that lets children refer to the survivors, and writes into the log which they were and what they
 * referred to: their keys as they are afterwards, or where a child has no key all of the row. `entry` is what each
 * row of the log begins with: run, batch, step. Answers `moved`, `cut`, those that would have referred to themselves, and
 * `astray`, those that refer to something else now.
 */
export function moveChildren(
  scope: Scope,
  reference: Reference,
  pairs: Pairs,
  { log, entry, number }: { readonly log: string; readonly entry: string; readonly number: number },
): string {
  const child = scope.tables[reference.child] as TableFacts;
  const { columns, referred } = reference;
  const [losers, survivors] = [sides(pairs, 'l', 'p', referred), sides(pairs, 's', 'p', referred)];
  const cut = isSelf(reference) ? setsNull(child, reference) : [];
  const itself = equal('c', pairs.key, sides(pairs, 's', 'p', pairs.key));
  const set = columns.map((column, i) => {
    const value = cut.includes(column)
      ? `CASE WHEN ${itself} THEN NULL ELSE ${survivors[i]} END`
      : survivors[i];
    return `${quoteIdentifier(column)} = ${value}`;
  });
  const conditions = [
    equal('c', columns, losers),
    ...[among(scope, reference, pairs, ['l']) ?? []].flat(),
    ...survivors.map((value) => `${value} IS NOT NULL`),
    ...going(reference.child, 'c', [pairs]),
  ];
  const key = nameOf(child);
  const keys = key
    ? key.map((column) => `${at('c', column)}::text`)
    : [`${imageOf('c', child.columns)}::text`];
  const olds = columns.map((_, i) => `m.o${i + 1}`).join(', ');
  const news = columns.map((_, i) => `m.w${i + 1}`).join(', ');
  const returning = [
    ...losers.map((value, i) => `${value}::text AS o${i + 1}`),
    ...columns.map((column, i) => `${at('c', column)}::text AS w${i + 1}`),
    ...keys.map((value, i) => `${value} AS k${i + 1}`),
    `${cut.length > 0 ? itself : 'false'} AS cut`,
    `(${columns.map((column, i) => `${at('c', column)} = ${survivors[i]}`).join(' AND ')}) IS NOT TRUE AS astray`,
  ];
  return `WITH moved AS (
  UPDATE ${quoteName(child.name)} c SET ${set.join(', ')} FROM ${pairs.name} p WHERE ${conditions.join(' AND ')}
  RETURNING ${returning.join(', ')}
), logged AS (
  INSERT INTO ${log} (run, batch, step, op, target, keys, old_values, new_values)
  SELECT ${entry}, 'moved', ${number}, ARRAY[${keys.map((_, i) => `array_agg(m.k${i + 1})::text`).join(', ')}],
         pg_catalog.to_jsonb(ARRAY[${olds}]), pg_catalog.to_jsonb(ARRAY[${news}])
  FROM (SELECT *, (row_number() OVER () - 1) / ${keysInARow} AS chunk FROM moved) m GROUP BY ${olds}, ${news}, m.chunk
)
SELECT count(*)::float8 AS moved, (count(*) FILTER (WHERE cut))::float8 AS cut, (count(*) FILTER (WHERE astray AND NOT cut))::float8 AS astray FROM moved`;
}
