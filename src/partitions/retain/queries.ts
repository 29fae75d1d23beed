import type { Sql, TransactionSql } from 'postgres';
import type { QualifiedName } from '../../db/identifiers.ts';
import { type Bound, type PartitionedTable, underUtc } from '../catalogue.ts';
import type { Span } from '../period.ts';
import { type Marks, readMarks } from './marker.ts';

/** Name of the constraint that keeps rows out of a retired table. */
export const frozenConstraint = 'retired_by_eduschema';

/** A partition, or a table that was one, with what retention wants to know. */
export interface Candidate {
  readonly oid: number;
  readonly name: QualifiedName;
  readonly kind: 'table' | 'partitioned' | 'foreign';
  /** Null when it is detached. */
  readonly attachedTo: number | null;
  readonly detachPending: boolean;
  readonly rows: number | null;
  readonly bytes: number;
  readonly comment: string | null;
  readonly marks: Marks;
  /** Its end is old enough. */
  readonly due: boolean;
  /** The constraint that keeps rows out of it is there. */
  readonly frozen: boolean;
  /** It has foreign keys, which come along when it is detached. */
  readonly refers: boolean;
}

interface Row extends Omit<Candidate, 'name' | 'marks'>, QualifiedName {}

/** How old the end of a partition is when it goes: `keep` before `asOf`, which is now without it. */
export interface Age {
  readonly keep: Span;
  readonly zone: string;
  readonly asOf: string | undefined;
}

const columns = `
  c.oid::int8::float8 AS oid, n.nspname AS schema, c.relname AS name,
  CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'table' END AS kind,
  i.inhparent::int8::float8 AS "attachedTo", coalesce(i.inhdetachpending, false) AS "detachPending",
  CASE WHEN c.reltuples >= 0 THEN c.reltuples::float8 END AS rows, pg_total_relation_size(c.oid)::float8 AS bytes,
  obj_description(c.oid, 'pg_class') AS comment,
  EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = c.oid AND o.conname = '${frozenConstraint}') AS frozen,
  EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = c.oid AND o.contype = 'f') AS refers`;

/**
 * The partitions of a table in the order of their bounds, each with whether it is due: its end is not later than
 * `age.keep` ago, by the calendar and clock of the zone. Ends are compared by the server, as times.
 */
export async function listCandidates(
  sql: Sql,
  { oid, type }: PartitionedTable,
  { keep, zone, asOf }: Age,
): Promise<Candidate[]> {
  const cutoff = `(coalesce($2::timestamptz, now()) AT TIME ZONE $3) - make_interval(months => $4, days => $5)`;
  const old =
    type === 'timestamptz'
      ? `upper::timestamptz <= (${cutoff}) AT TIME ZONE $3`
      : `upper::timestamp <= ${cutoff}`;
  const rows = await sql.unsafe<Row[]>(
    `WITH found AS (
       SELECT i.inhrelid, substring(pg_get_expr(p.relpartbound, p.oid) from $re$TO \\('([^']*)'\\)$re$) AS upper,
              substring(pg_get_expr(p.relpartbound, p.oid) from $re$FROM \\('([^']*)'\\)$re$) AS lower
       FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid WHERE i.inhparent = $1)
     SELECT ${columns}, coalesce(${old}, false) AS due
     FROM found JOIN pg_class c ON c.oid = found.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_inherits i ON i.inhrelid = c.oid
     ORDER BY upper::timestamptz NULLS FIRST, c.relname`,
    [oid, asOf ?? null, zone, ...intervalOf(keep)],
  );
  return rows.map(candidateOf);
}

/** Months and days of a span, as the server adds them. */
export function intervalOf({ count, unit }: Span): [months: number, days: number] {
  const months = { day: 0, week: 0, month: 1, quarter: 3, year: 12 }[unit] * count;
  const days = { day: 1, week: 7, month: 0, quarter: 0, year: 0 }[unit] * count;
  return [months, days];
}

/** The tables that were partitions of `parent` and have its mark, the one that was retired first at the front. */
export async function listRetired(sql: Sql, parent: QualifiedName): Promise<Candidate[]> {
  const rows = await sql.unsafe<Row[]>(
    `SELECT ${columns}, false AS due
     FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
     WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND i.inhrelid IS NULL
       AND d.description LIKE '%{"eduschema":{"retired":%'
     ORDER BY c.relname`,
  );
  const isOurs = ({ marks: { retired } }: Candidate) =>
    retired?.parent?.schema === parent.schema && retired.parent.name === parent.name;
  return rows.map(candidateOf).filter(isOurs);
}

/** One table, as it is now; undefined when it is gone. */
export async function findCandidate(sql: Sql | TransactionSql, oid: number): Promise<Candidate | undefined> {
  const [row] = await sql.unsafe<Row[]>(
    `SELECT ${columns}, false AS due FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.oid = $1`,
    [oid],
  );
  return row && candidateOf(row);
}

function candidateOf({ schema, name, ...rest }: Row): Candidate {
  return { ...rest, name: { schema, name }, marks: readMarks(rest.comment) };
}

/** The server's clock, or the time that stands for it, and a span before and after it: ISO 8601 in UTC. */
export async function readClock(
  sql: Sql,
  asOf: string | undefined,
  span: Span,
): Promise<{ readonly now: string; readonly before: string; readonly after: string }> {
  const iso = `'YYYY-MM-DD"T"HH24:MI:SS"Z"'`;
  const length = 'make_interval(months => $2, days => $3)';
  const [clock] = await sql.unsafe<{ now: string; before: string; after: string }[]>(
    `SELECT to_char(t, ${iso}) AS now, to_char(t - ${length}, ${iso}) AS before, to_char(t + ${length}, ${iso}) AS after
     FROM (SELECT coalesce($1::timestamptz, now()) AT TIME ZONE 'UTC' AS t) AS clock`,
    [asOf ?? null, ...intervalOf(span)],
  );
  return clock as { now: string; before: string; after: string };
}

/** Ends as a mark has them, with what the clock of the zone shows there. */
export async function showBounds(
  sql: Sql,
  { type }: Pick<PartitionedTable, 'type'>,
  zone: string,
  ends: { readonly from: string | null; readonly to: string | null },
): Promise<{ readonly from: Bound | null; readonly to: Bound | null }> {
  const local = type === 'timestamptz' ? '$1::timestamptz AT TIME ZONE $2' : '$1::timestamp';
  const show = async (value: string | null) => {
    if (value === null) return null;
    const [row] = await underUtc(sql, (inside) =>
      inside.unsafe<{ local: string | null }[]>(
        `SELECT to_char(${local}, 'YYYY-MM-DD HH24:MI:SS') AS local`,
        type === 'timestamptz' ? [value, zone] : [value],
      ),
    );
    return { value, local: row?.local ?? value };
  };
  return { from: await show(ends.from), to: await show(ends.to) };
}
