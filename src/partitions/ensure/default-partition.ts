import type { Sql } from 'postgres';
import { askTogether, type Question } from '../../db/ask-together.ts';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import type { BoundedPartition, PartitionedTable } from '../catalogue.ts';
import { instantOf } from '../instant.ts';
import { type Trigger, triggersOf } from './triggers.ts';

/** The default partition, and what is in it. */
export interface DefaultPartition {
  readonly oid: number;
  readonly name: QualifiedName;
  /** A table of its own: neither partitioned nor foreign. */
  readonly isPlain: boolean;
  /** Of the rows alone: what a scan reads. */
  readonly heapBytes: number;
  readonly deleteTriggers: readonly Trigger[];
  readonly truncateTriggers: readonly Trigger[];
  /** Views and rules that name it: SQL that would go on naming it if another took its place. */
  readonly namedBy: readonly string[];
}

/** How many rows of the default partition lie in each range, and how many in none. */
export interface Waiting {
  readonly ranges: readonly number[];
  readonly others: number;
}

/** The default partition among `partitions`, if there is one. */
export async function findDefaultPartition(
  sql: Sql,
  partitions: readonly BoundedPartition[],
): Promise<DefaultPartition | undefined> {
  const question = defaultQuestion(partitions);
  if (!question) return undefined;
  const [found] = await askTogether(sql, [], [question]);
  return found;
}

/** Asks what `findDefaultPartition` does; undefined when there is none. */
export function defaultQuestion(
  partitions: readonly BoundedPartition[],
): Question<DefaultPartition> | undefined {
  const found = partitions.find(({ isDefault }) => isDefault);
  if (!found) return undefined;
  const { oid, name } = found;
  const id = `${oid}::oid`;
  const isPlain = !found.isPartitioned && !found.isForeign;
  return {
    sql: `SELECT ${found.isForeign ? '0' : `(SELECT sum(pg_relation_size(t.relid)) FROM pg_partition_tree(${id}::regclass) t WHERE t.isleaf)`}::float8 AS "heapBytes",
            ${triggersOf(id, 'rows are deleted')} AS "deleteTriggers", ${triggersOf(id, 'it is truncated')} AS "truncateTriggers",
            coalesce((SELECT json_agg(DISTINCT r.ev_class::regclass::text) FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                      WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ${id}), '[]') AS "namedBy"`,
    read: ([row]: [Omit<DefaultPartition, 'oid' | 'name' | 'isPlain'>]) => ({ ...row, oid, name, isPlain }),
  };
}

/** Counts the rows of the default partition, in one scan, without a lock that anybody waits for. */
export async function countWaiting(
  sql: Sql,
  { column, type }: PartitionedTable,
  { name, heapBytes, isPlain }: DefaultPartition,
  ranges: readonly { readonly from: string; readonly to: string }[],
): Promise<Waiting> {
  if (isPlain && heapBytes === 0) return { ranges: ranges.map(() => 0), others: 0 };
  // A time can be written in two ways: in the table's zone and in UTC.
  const ends = new Map(ranges.flatMap(({ from, to }) => [from, to].map((end) => [instantOf(end), end])));
  const instants = [...ends.keys()].sort((one, other) => one - other);
  const array = `ARRAY[${instants.map((at) => quoteLiteral(ends.get(at) ?? '')).join(', ')}]::${type}[]`;
  const rows = await sql.begin('READ ONLY', async (inside) => {
    // Better an error than rows that a policy hides.
    await inside.unsafe('SET LOCAL row_security = off');
    return inside.unsafe<{ bucket: number | null; count: number }[]>(
      `SELECT width_bucket(${quoteIdentifier(column)}, ${array}) AS bucket, count(*)::float8 AS count FROM ${quoteName(name)} GROUP BY 1`,
    );
  });
  const all = rows.reduce((sum, { count }) => sum + count, 0);
  const waiting = ranges.map(({ from }) => {
    const bucket = instants.indexOf(instantOf(from)) + 1;
    return rows.find((row) => row.bucket === bucket)?.count ?? 0;
  });
  return { ranges: waiting, others: all - waiting.reduce((sum, count) => sum + count, 0) };
}
