import type { Sql } from 'postgres';
import { askTogether, inUtc, type Question } from '../db/ask-together.ts';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { EduschemaError } from '../errors.ts';
import { readMark } from './comment-mark.ts';

/** A table that is partitioned by range over one column of time. */
export interface PartitionedTable {
  readonly oid: number;
  readonly name: QualifiedName;
  readonly owner: string;
  /** The column of the partition key, and its type. */
  readonly column: string;
  readonly type: TimeType;
  readonly comment: string | null;
}

/** Types that a table can be partitioned by. Only `timestamptz` depends on a zone. */
export type TimeType = 'date' | 'timestamp' | 'timestamptz';

/** An end of a partition. */
export interface Bound {
  /** As PostgreSQL writes it under UTC: `2026-11-30 15:00:00+00`, for timestamps without zone and dates without `+00`. */
  readonly value: string;
  /** The same in the policy's zone, `2026-12-01 00:00:00`; for types without a zone the value itself. */
  readonly local: string;
}

/** A partition as the catalogue has it, without its size, which costs a look at the disk. */
export interface BoundedPartition {
  readonly oid: number;
  readonly name: QualifiedName;
  readonly isDefault: boolean;
  /** Included. Null: MINVALUE, or the default partition. */
  readonly from: Bound | null;
  /** Not included. Null: MAXVALUE, or the default partition. */
  readonly to: Bound | null;
  readonly isPartitioned: boolean;
  /** Of a foreign server. */
  readonly isForeign: boolean;
  /** A concurrent detach began and did not end. */
  readonly detachPending: boolean;
  /** An estimate, of its last ANALYZE or VACUUM; null when it never had one. */
  readonly rows: number | null;
}

/** The same with its size, indexes and all. */
export interface Partition extends BoundedPartition {
  readonly bytes: number;
}

/** A table as the catalogue has it. */
export interface TableRow extends Omit<PartitionedTable, 'name' | 'type'>, QualifiedName {
  readonly type: string;
  readonly strategy: string;
  readonly keys: number;
}

const timeTypes: Readonly<Record<string, TimeType>> = {
  date: 'date',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
};

const selectTables = `
  SELECT c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
         p.partstrat AS strategy, p.partnatts::int AS keys, a.attname AS column, format_type(a.atttypid, NULL) AS type,
         obj_description(c.oid, 'pg_class') AS comment
  FROM pg_partitioned_table p
  JOIN pg_class c ON c.oid = p.partrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0] AND a.attnum > 0`;

/**
 * The tables that are partitioned by a time, by name; those that are partitions themselves are left out, and those that
 * a conversion has under way, which nobody uses yet.
 */
export async function listPartitionedTables(sql: Sql): Promise<PartitionedTable[]> {
  const rows = await sql.unsafe<TableRow[]>(
    `${selectTables} WHERE NOT c.relispartition AND c.relpersistence <> 't' ORDER BY 2, 3`,
  );
  return rows.flatMap((row) => (readMark(row.comment, 'twin') ? [] : (tableOf(row) ?? [])));
}

/**
 * The partitioned table of that name. Throws `table-missing`, or `table-unsuitable` when it is not partitioned by
 * range over one column of time.
 */
export async function findPartitionedTable(sql: Sql, name: QualifiedName): Promise<PartitionedTable> {
  const [rows] = await askTogether(sql, [], [tableQuestion(name)]);
  return knownTable(sql, name, rows);
}

/** Asks for the table of that name, for `knownTable` to judge. */
export function tableQuestion({ schema, name }: QualifiedName): Question<readonly TableRow[]> {
  return {
    sql: `${selectTables} WHERE n.nspname = ${quoteLiteral(schema)} AND c.relname = ${quoteLiteral(name)}`,
    read: (rows: TableRow[]) => rows,
  };
}

/** The table that the answer shows. Throws as `findPartitionedTable` does. */
export async function knownTable(
  sql: Sql,
  name: QualifiedName,
  [row]: readonly TableRow[],
): Promise<PartitionedTable> {
  const table = row && tableOf(row);
  if (table) return table;
  const shown = `${name.schema}.${name.name}`;
  if (row)
    throw new EduschemaError(
      'table-unsuitable',
      `${shown} is not partitioned by range over one column of time`,
      {
        hint: 'partitions are made for tables with PARTITION BY RANGE (a date, timestamp or timestamptz)',
      },
    );
  const [found] = await sql`SELECT to_regclass(${quoteName(name)}) IS NOT NULL AS there`;
  if (found?.there)
    throw new EduschemaError('table-unsuitable', `${shown} is not partitioned`, {
      hint: `make it so: eduschema partitions convert ${shown} --by <column>`,
    });
  throw new EduschemaError('table-missing', `there is no table ${shown}`, {
    hint: 'check the name; eduschema partitions list shows those that are partitioned',
  });
}

function tableOf({ schema, name, strategy, keys, type, ...table }: TableRow): PartitionedTable | undefined {
  const known = timeTypes[type];
  if (strategy !== 'r' || keys !== 1 || table.column === null || !known) return undefined;
  return { ...table, name: { schema, name }, type: known };
}

interface PartitionRow extends Omit<Partition, 'name' | 'isDefault' | 'from' | 'to'>, QualifiedName {
  readonly bound: string;
  readonly fromLocal: string | null;
  readonly toLocal: string | null;
}

/**
 * The partitions of a table in the order of their bounds, the default one last. The server prints bounds in the
 * session's zone, so they are read under UTC. Throws `usage` for a zone that the server does not know.
 */
export async function listPartitions(sql: Sql, table: PartitionedTable, zone: string): Promise<Partition[]> {
  // The tree of each plain partition would take four times as long.
  const bytes = `CASE WHEN relkind = 'p'
    THEN (SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::float8
          FROM pg_partition_tree(ends.oid) t WHERE t.isleaf)
    ELSE pg_total_relation_size(ends.oid)::float8 END AS bytes,`;
  const [partitions] = await askInZone(sql, zone, [partitionsQuestion<Partition>(table, zone, bytes)]);
  return partitions;
}

/** The same without sizes: of a thousand partitions in hundredths of a second. */
export async function listBounds(
  sql: Sql,
  table: PartitionedTable,
  zone: string,
): Promise<BoundedPartition[]> {
  const [partitions] = await askInZone(sql, zone, [boundsQuestion(table, zone)]);
  return partitions;
}

/** Asks what `listBounds` does, for `askInZone`. */
export function boundsQuestion(table: PartitionedTable, zone: string): Question<BoundedPartition[]> {
  return partitionsQuestion<BoundedPartition>(table, zone, '');
}

function partitionsQuestion<T extends BoundedPartition>(
  { oid, type }: PartitionedTable,
  zone: string,
  more: string,
): Question<T[]> {
  const local = (end: string) =>
    type === 'timestamptz'
      ? `to_char(${end}::timestamptz AT TIME ZONE ${quoteLiteral(zone)}, 'YYYY-MM-DD HH24:MI:SS')`
      : `to_char(${end}::timestamp, 'YYYY-MM-DD HH24:MI:SS')`;
  return {
    sql: `WITH found AS (
         SELECT c.oid, n.nspname, c.relname, c.relkind, i.inhdetachpending, c.reltuples,
                coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS bound
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE i.inhparent = ${oid}::oid),
       ends AS (SELECT *, substring(bound from $re$FROM \\('([^']*)'\\)$re$) AS lower,
                       substring(bound from $re$TO \\('([^']*)'\\)$re$) AS upper FROM found)
       SELECT oid::int8::float8 AS oid, nspname AS schema, relname AS name, bound, ${local('lower')} AS "fromLocal",
              ${local('upper')} AS "toLocal", relkind = 'p' AS "isPartitioned", inhdetachpending AS "detachPending",
              relkind = 'f' AS "isForeign", ${more}
              CASE WHEN reltuples >= 0 THEN reltuples::float8 END AS rows
       FROM ends
       ORDER BY bound = 'DEFAULT', lower::timestamptz NULLS FIRST, relname`,
    read: (rows: PartitionRow[]) =>
      rows.map(({ schema, name, bound, fromLocal, toLocal, ...partition }) => ({
        ...partition,
        name: { schema, name },
        isDefault: bound === 'DEFAULT',
        from: endOf(bound, 'FROM', fromLocal),
        to: endOf(bound, 'TO', toLocal),
      })) as readonly BoundedPartition[] as T[],
  };
}

function endOf(bound: string, side: 'FROM' | 'TO', local: string | null): Bound | null {
  const value = new RegExp(`${side} \\('([^']*)'\\)`).exec(bound)?.[1];
  // What to_char cannot show is infinity, which shows itself.
  return value === undefined ? null : { value, local: local ?? value };
}

/** Runs `ask` in a transaction that reads alone, and in which times are written in UTC and as ISO 8601 has them. */
export async function underUtc<T>(sql: Sql, ask: (sql: Sql) => Promise<T>): Promise<T> {
  const answer = await sql.begin('READ ONLY', async (inside) => {
    await inside.unsafe(inUtc.join('; '));
    return ask(inside as unknown as Sql);
  });
  return answer as T;
}

/**
 * Names that are a zone or nothing. Others may be taken for a rule, as POSIX has them: `Seoul9`, nine hours west. To look
 * them up in the list costs the server a walk through its files, a quarter of a second at first.
 */
const plainZone = /^(utc|gmt|([a-z_-]+\/)+[a-z_-]+)$/i;

const unknownZone = '22023';

/** Throws `usage` when the server knows no zone of that name. */
export async function checkZone(sql: Sql, zone: string): Promise<void> {
  const look = plainZone.test(zone)
    ? sql`SELECT now() AT TIME ZONE ${zone}`
    : sql`SELECT FROM pg_timezone_names WHERE lower(name) = lower(${zone}) LIMIT 1`;
  const found = await look.catch((error) => {
    if (error.code === unknownZone) return [];
    throw error;
  });
  if (found.length > 0) return;
  throw new EduschemaError('usage', `the server knows no time zone "${zone}"`, {
    hint: 'write it as Asia/Seoul or UTC; SELECT name FROM pg_timezone_names lists them',
  });
}

/** Asks in one message, under UTC, what depends on `zone`. Throws `usage` when the server knows no zone of that name. */
export async function askInZone<const T extends readonly unknown[]>(
  sql: Sql,
  zone: string,
  questions: { readonly [Place in keyof T]: Question<T[Place]> },
): Promise<T> {
  if (!plainZone.test(zone)) await checkZone(sql, zone);
  try {
    const knows = `SELECT now() AT TIME ZONE ${quoteLiteral(zone)}`;
    return await askTogether<T>(sql, [...inUtc, knows], questions);
  } catch (error) {
    if ((error as { code?: unknown }).code === unknownZone) await checkZone(sql, zone);
    throw error;
  }
}

/**
 * Where each day begins in `zone`, as a literal for a bound: `2026-12-01 00:00:00+09`; for types without a zone the
 * day itself. The server decides, as its rules of time zones count.
 */
export async function boundsOf(
  sql: Sql,
  { type }: Pick<PartitionedTable, 'type'>,
  zone: string,
  days: readonly string[],
): Promise<string[]> {
  if (days.length === 0) return [];
  if (type !== 'timestamptz') return days.map((day) => (type === 'date' ? day : `${day} 00:00:00`));
  const place = quoteLiteral(zone);
  const [literals] = await askTogether(
    sql,
    [`SET LOCAL TimeZone = ${place}`, `SET LOCAL DateStyle = 'ISO, YMD'`],
    [
      {
        sql: `SELECT (day::timestamp AT TIME ZONE ${place})::text AS at
              FROM unnest(string_to_array(${quoteLiteral(days.join())}, ',')) WITH ORDINALITY AS d (day, n) ORDER BY n`,
        read: (rows: { at: string }[]) => rows.map(({ at }) => at),
      },
    ],
  );
  return literals;
}
