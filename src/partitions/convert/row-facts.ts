import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';

/** What the rows of a table say about partitioning it by a column. */
export interface RowFacts {
  readonly nulls: number;
  /** Rows at infinity, and at -infinity. */
  readonly infinite: number;
  readonly earliest: number;
  /** Rows at or after the end of the first partition, infinity left out. */
  readonly beyond: number;
  /** The latest finite value, as PostgreSQL writes it under UTC. */
  readonly newest: string | null;
  readonly oldest: string | null;
}

interface Asked {
  readonly column: string;
  /** A literal of the column's type. */
  readonly end: string;
  /** An index begins with the column. */
  readonly indexed: boolean;
}

/**
 * Whether all rows have a time before the end: the least that can be asked, as nearly always that is so. They are counted,
 * as a search for one would be planned as if it came early. Call it under UTC.
 */
export async function allBefore(
  sql: Sql,
  table: QualifiedName,
  { column, end }: Pick<Asked, 'column' | 'end'>,
): Promise<boolean> {
  const key = quoteIdentifier(column);
  const [{ all }] = await sql.unsafe<[{ readonly all: boolean }]>(
    `SELECT count(*) = 0 AS all FROM ONLY ${quoteName(table)} WHERE ${key} IS NULL OR ${key} >= '${end}'`,
  );
  return all;
}

/**
 * Asks the rows: by an index where one begins with the column, else in a scan, and in a second one when not all have a
 * finite time before `end`. Call it under UTC.
 */
export async function findRowFacts(sql: Sql, table: QualifiedName, asked: Asked): Promise<RowFacts> {
  const usual = asked.indexed ? undefined : await findUsual(sql, table, asked);
  return usual ?? countAll(sql, table, asked);
}

/** The facts of a table in which no time is infinite or too late, in half the time; else undefined. */
async function findUsual(
  sql: Sql,
  table: QualifiedName,
  { column, end }: Asked,
): Promise<RowFacts | undefined> {
  const key = quoteIdentifier(column);
  const [{ usual, ...facts }] = await sql.unsafe<
    [Pick<RowFacts, 'nulls' | 'newest' | 'oldest'> & { readonly usual: boolean }]
  >(
    `SELECT (count(*) - count(${key}))::float8 AS nulls, max(${key})::text AS newest, min(${key})::text AS oldest,
       coalesce(min(${key}) > '-infinity' AND max(${key}) < 'infinity' AND max(${key}) < '${end}', true) AS usual
     FROM ONLY ${quoteName(table)}`,
  );
  return usual ? { ...facts, infinite: 0, earliest: 0, beyond: 0 } : undefined;
}

async function countAll(sql: Sql, table: QualifiedName, { column, end, indexed }: Asked): Promise<RowFacts> {
  const name = quoteName(table);
  const key = quoteIdentifier(column);
  const literal = `'${end}'`;
  const where: Readonly<Record<Exclude<keyof RowFacts, 'newest' | 'oldest'>, string>> = {
    nulls: `${key} IS NULL`,
    infinite: `${key} = 'infinity'`,
    earliest: `${key} = '-infinity'`,
    beyond: `${key} >= ${literal} AND ${key} < 'infinity'`,
  };
  const counts = Object.entries(where).map(([fact, condition]) =>
    indexed
      ? `(SELECT count(*)::float8 FROM ONLY ${name} WHERE ${condition}) AS ${fact}`
      : `count(*) FILTER (WHERE ${condition})::float8 AS ${fact}`,
  );
  const finite = `${key} > '-infinity' AND ${key} < 'infinity'`;
  const ends = [
    ['newest', 'max'],
    ['oldest', 'min'],
  ].map(([fact, aggregate]) =>
    indexed
      ? `(SELECT ${aggregate}(${key})::text FROM ONLY ${name} WHERE ${finite}) AS ${fact}`
      : `(${aggregate}(${key}) FILTER (WHERE ${finite}))::text AS ${fact}`,
  );
  const [facts] = await sql.unsafe<[RowFacts]>(
    `SELECT ${[...counts, ...ends].join(', ')}${indexed ? '' : ` FROM ONLY ${name}`}`,
  );
  return facts;
}
