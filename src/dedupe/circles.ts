import type { Sql } from 'postgres';
import { quoteName } from '../db/identifiers.ts';
import { clusterTable } from './cluster.ts';
import { at, equal, listOf, numbered } from './row-sql.ts';
import type { Scope } from './scope.ts';
import { nameOf, type TableFacts } from './table-facts.ts';

/** Rows of a table that refer to each other and end where they began, each by its key as text; a row's own parent is not here. */
export interface Circle {
  /** The number of the reference. */
  readonly reference: number;
  readonly rows: readonly string[];
}

/** A circle longer than that is not looked for, nor are more than these told. */
const longest = 100;
const most = 20;

/**
 * Circles through rows that others were merged into: where a row that went was above one that it is below now, a tree has
 * become a circle, in which a recursive query does not end. Only the references of the table to itself can make one.
 */
export async function findCircles(sql: Pick<Sql, 'unsafe'>, scope: Scope): Promise<Circle[]> {
  const root = scope.tables[0] as TableFacts;
  const key = nameOf(root) ?? [];
  const name = quoteName(root.name);
  const circles: Circle[] = [];
  for (const [reference, { child, parent, columns, referred }] of scope.references.entries()) {
    if (child !== 0 || parent !== 0) continue;
    const shown = (alias: string) =>
      key.length === 1 ? `${at(alias, key[0] as string)}::text` : `ROW(${listOf(alias, key)})::text`;
    const up = columns.map((_, index) => `u${index + 1}`);
    const upward = equal('t', referred, numbered('w', 'u', columns.length));
    const found = await sql.unsafe<{ path: string[] }[]>(
      `WITH RECURSIVE walk (path, ${up.join(', ')}) AS (
         SELECT ARRAY[${shown('t')}], ${listOf('t', columns)} FROM ${name} t
         WHERE EXISTS (SELECT FROM ${clusterTable} c WHERE ${equal('t', key, numbered('c', 's', key.length))})
         UNION ALL
         SELECT w.path || ${shown('t')}, ${listOf('t', columns)} FROM walk w JOIN ${name} t ON ${upward}
         WHERE ${shown('t')} <> ALL (w.path) AND cardinality(w.path) < ${longest}
       )
       SELECT DISTINCT ON (ARRAY(SELECT r FROM unnest(w.path) r ORDER BY r)) pg_catalog.to_jsonb(w.path) AS path
       FROM walk w JOIN ${name} t ON ${upward} WHERE ${shown('t')} = w.path[1] AND cardinality(w.path) > 1
       ORDER BY ARRAY(SELECT r FROM unnest(w.path) r ORDER BY r), w.path LIMIT ${most}`,
    );
    circles.push(...found.map(({ path }) => ({ reference, rows: path })));
  }
  return circles;
}
