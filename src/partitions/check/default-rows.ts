import type { Sql } from 'postgres';
import { quoteIdentifier, quoteLiteral, quoteName, showName } from '../../db/identifiers.ts';
import type { BoundedPartition, PartitionedTable } from '../catalogue.ts';
import { endOf } from '../instant.ts';
import { type Found, showLocal } from './finding.ts';

/** More are not counted. */
const most = 10_000;

interface Waiting {
  readonly count: number;
  readonly from: string | null;
  readonly to: string | null;
}

/**
 * Rows in the default partition. They are asked for through the table, by the times that no other partition has: the
 * planner then reads the default one alone, and the right to read the table is enough. Who has not even that is told what
 * the server's statistics say.
 */
export async function judgeDefault(
  sql: Sql,
  table: PartitionedTable,
  partitions: readonly BoundedPartition[],
  zone: string,
): Promise<Found[]> {
  const found = partitions.find(({ isDefault }) => isDefault);
  if (!found || found.isForeign) return [];
  const [facts] = await sql.unsafe<[{ readable: boolean; bytes: number; live: number }]>(
    `SELECT has_column_privilege(${table.oid}::oid, ${quoteLiteral(table.column)}, 'SELECT') AND NOT row_security_active(${table.oid}::oid) AS readable,
            pg_relation_size(${found.oid}::oid)::float8 AS bytes,
            greatest(${found.rows ?? 0}, pg_stat_get_live_tuples(${found.oid}::oid))::float8 AS live`,
  );
  if (!found.isPartitioned && facts.bytes === 0) return [];
  const waiting = facts.readable
    ? await countWaiting(sql, table, partitions, zone)
    : { count: facts.live, from: null, to: null };
  if (waiting.count === 0) return [];
  const name = showName(table.name);
  return [
    {
      code: 'rows-in-default',
      partition: found.name,
      message: `${describe(waiting, facts.readable)} in the default partition`,
      hint: `eduschema partitions ensure ${name} moves those of the periods that it makes; to see what is left: SELECT ${quoteIdentifier(table.column)}, count(*) FROM ${quoteName(found.name)} GROUP BY 1`,
    },
  ];
}

function describe({ count, from, to }: Waiting, isCounted: boolean): string {
  if (!isCounted) return `about ${count.toLocaleString('en')} rows, as the server estimates, are`;
  const times = from && to ? ` of ${from === to ? from : `${from} to ${to}`}` : '';
  if (count > most) return `more than ${most.toLocaleString('en')} rows are`;
  return count === 1 ? `1 row${times} is` : `${count.toLocaleString('en')} rows${times} are`;
}

async function countWaiting(
  sql: Sql,
  { name, column, type }: PartitionedTable,
  partitions: readonly BoundedPartition[],
  zone: string,
): Promise<Waiting> {
  const key = quoteIdentifier(column);
  const local = type === 'timestamptz' ? ` AT TIME ZONE ${quoteLiteral(zone)}` : '::timestamp';
  const shown = (side: string) => `to_char(${side}(at)${local}, 'YYYY-MM-DD HH24:MI:SS')`;
  const [row] = await sql.unsafe<[Waiting]>(
    `SELECT count(*)::float8 AS count, ${shown('min')} AS "from", ${shown('max')} AS "to"
     FROM (SELECT ${key} AS at FROM ${quoteName(name)} WHERE ${nowhere(key, type, partitions)} LIMIT ${most + 1}) r`,
  );
  const day = (text: string | null) => text && showLocal(text).slice(0, 10);
  return { count: row.count, from: day(row.from), to: day(row.to) };
}

/** SQL: that the time lies in none of the partitions with bounds. */
export function nowhere(key: string, type: string, partitions: readonly BoundedPartition[]): string {
  const arms = [`${key} IS NULL`];
  const literal = (value: string) => `${quoteLiteral(value)}::${type}`;
  const bounded = partitions.filter(({ isDefault }) => !isDefault);
  let reached: BoundedPartition['to'] | undefined;
  for (const { from, to } of bounded) {
    if (from && reached === undefined) arms.push(`${key} < ${literal(from.value)}`);
    if (from && reached && endOf(reached) < endOf(from))
      arms.push(`${key} >= ${literal(reached.value)} AND ${key} < ${literal(from.value)}`);
    reached = to;
  }
  if (reached === undefined) return 'true';
  if (reached) arms.push(`${key} >= ${literal(reached.value)}`);
  return arms.map((arm) => `(${arm})`).join(' OR ');
}
