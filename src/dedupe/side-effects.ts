import type { TransactionSql } from 'postgres';
import type { Scope } from './scope.ts';
import type { TableFacts } from './table-facts.ts';
import type { Tally } from './tally.ts';

/** What the transaction has done to the rows of a table and its partitions so far, by the server's own statistics. */
export interface Done {
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** The files of its rows: TRUNCATE gives a table another one. */
  readonly files: string;
}

/** By the number of the table; empty where the server keeps no statistics (`track_counts`). */
export async function readDone(
  sql: Pick<TransactionSql, 'unsafe'>,
  scope: Scope,
  tables: readonly number[],
): Promise<Map<number, Done>> {
  if (tables.length === 0) return new Map();
  const each = tables.map((number) => {
    const { oid } = scope.tables[number] as TableFacts;
    const sum = (what: string) => `sum(pg_catalog.pg_stat_get_xact_tuples_${what}(c.oid))::float8 AS ${what}`;
    return `SELECT ${number} AS number, ${['inserted', 'updated', 'deleted'].map(sum).join(', ')},
      string_agg(c.relfilenode::text, ' ' ORDER BY c.oid) AS files FROM pg_catalog.pg_class c
      WHERE c.oid = ${oid} OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(${oid}))`;
  });
  const rows = await sql.unsafe<(Done & { number: number })[]>(
    `SELECT x.* FROM (${each.join(' UNION ALL ')}) x WHERE pg_catalog.current_setting('track_counts')::bool`,
  );
  return new Map(rows.map(({ number, ...done }) => [number, done]));
}

/**
 * The tables in which nothing was done but what the tally of this batch tells: rows moved were updated, rows that collided
 * deleted. In the others a trigger or a rule may have changed rows.
 */
export function findExplained(
  before: ReadonlyMap<number, Done>,
  after: ReadonlyMap<number, Done>,
  scope: Scope,
  tally: Tally,
): number[] {
  return [...after].flatMap(([table, is]) => {
    const was = before.get(table);
    if (!was) return [];
    const { moved, astray } = movedIn(scope, tally, table);
    const { merged = 0, aside = 0 } = tally.collisions.get(table) ?? {};
    const isExplained =
      astray === 0 &&
      is.inserted === was.inserted &&
      is.updated - was.updated === moved &&
      is.deleted - was.deleted === merged + aside &&
      is.files === was.files;
    return isExplained ? [table] : [];
  });
}

function movedIn({ references }: Scope, { movements }: Tally, table: number) {
  const all = [...movements].filter(([number]) => references[number]?.child === table);
  return {
    moved: all.reduce((sum, [, { moved }]) => sum + moved, 0),
    astray: all.reduce((sum, [, { astray }]) => sum + astray, 0),
  };
}
