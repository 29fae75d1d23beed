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

/**
 * Asks the rows: by an index where one begins with the column, else in one scan. `end` is a literal of the column's type.
 * Call it under UTC.
 */
export async function findRowFacts(
  sql: Sql,
  table: QualifiedName,
  { column, end, indexed }: { readonly column: string; readonly end: string; readonly indexed: boolean },
): Promise<RowFacts> {
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
