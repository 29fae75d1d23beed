import { createHash } from 'node:crypto';
import type { Sql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import { listProofColumns, type ProofColumn } from './proof-columns.ts';

/** What is compared: two tables that should hold the same rows, period by period. */
export interface ProofSubject {
  readonly old: QualifiedName;
  readonly new: QualifiedName;
  /** The column by which rows belong to a period. */
  readonly column: string;
  /** Where periods begin, in order, as literals that say their zone. Rows before the first make a period of their own. */
  readonly bounds: readonly string[];
  /** SQL, after WHERE, that leaves rows out on both sides: those of which one table does not know yet. `r` is the row. */
  readonly except?: string | undefined;
  /** The same for the new table alone: rows that it has beside those of the old one. */
  readonly exceptNew?: string | undefined;
}

/** A period in both tables. */
export interface PeriodProof {
  /** Its first moment, as in `bounds`; null before the first of them. */
  readonly from: string | null;
  /** These rows have no time, and so no period. */
  readonly timeless: boolean;
  readonly rows: readonly [old: number, new: number];
  readonly checksums: readonly [old: string, new: string];
  readonly equal: boolean;
}

interface Side {
  readonly period: number | null;
  readonly rows: number;
  readonly checksum: string;
}

/** The settings under which values are written as text wherever that is compared. */
const fixedSettings = [
  ['TimeZone', 'UTC'],
  ['DateStyle', 'ISO, YMD'],
  ['IntervalStyle', 'postgres'],
  ['extra_float_digits', '1'],
  ['bytea_output', 'hex'],
  ['lc_monetary', 'C'],
  // Rows that a policy hides would be missing on both sides: better an error.
  ['row_security', 'off'],
] as const;

/** Makes a transaction that has just begun see both tables as they are at one moment, and write values in one way. */
export async function takeSnapshot(sql: Pick<Sql, 'unsafe'>): Promise<void> {
  const settings = fixedSettings.map(([name, value]) => `SET LOCAL ${name} = ${quoteLiteral(value)}`);
  await sql.unsafe(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; ${settings.join('; ')}`);
}

/**
 * Counts the rows of each period in both tables, and adds and crosses a hash of each: the order of rows does not matter,
 * a row that is missing, twice, or differs in one column does. After `takeSnapshot`.
 */
export async function provePeriods(sql: Pick<Sql, 'unsafe'>, subject: ProofSubject): Promise<PeriodProof[]> {
  const columns = await listProofColumns(sql, subject.old);
  const sumUp = async (table: QualifiedName, ...except: (string | undefined)[]) => {
    const conditions = except
      .filter((condition) => condition !== undefined)
      .map((condition) => `(${condition})`);
    const rows = await sql.unsafe<Side[]>(sumsOf(table, subject, columns, conditions.join(' AND ')));
    return new Map(rows.map((row) => [row.period, row]));
  };
  const { except, exceptNew } = subject;
  const [old, now] = [await sumUp(subject.old, except), await sumUp(subject.new, except, exceptNew)];
  const periods = [...new Set([...old.keys(), ...now.keys()])].sort(
    (a, b) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY),
  );
  return periods.map((period) => {
    const [one, other] = [old.get(period) ?? nothing, now.get(period) ?? nothing];
    return {
      from: period === null ? null : (subject.bounds[period - 1] ?? null),
      timeless: period === null,
      rows: [one.rows, other.rows],
      checksums: [shorten(one.checksum), shorten(other.checksum)],
      equal: one.rows === other.rows && one.checksum === other.checksum,
    };
  });
}

const nothing = { rows: 0, checksum: '' };

/** The sums are long; 16 digits of their hash are for people to compare and keep. */
const shorten = (sums: string) => createHash('sha256').update(sums).digest('hex').slice(0, 16);

/** A row that one table has and the other has not, or not like this. */
export interface Difference {
  readonly table: 'old' | 'new';
  /** The row, as text. */
  readonly row: string;
}

/** Rows by which a period differs, so many on each side at most. In the transaction that saw the difference. */
export async function listDifferences(
  sql: Pick<Sql, 'unsafe'>,
  subject: ProofSubject,
  { from, timeless }: PeriodProof,
  limit: number,
): Promise<Difference[]> {
  const columns = (await listProofColumns(sql, subject.old)).map(({ name }) => `r.${quoteIdentifier(name)}`);
  const index = from === null ? 0 : subject.bounds.indexOf(from) + 1;
  const inPeriod = timeless ? `${periodOf(subject)} IS NULL` : `${periodOf(subject)} = ${index}`;
  const rowsOf = (table: QualifiedName) =>
    `SELECT ROW(${columns.join(', ')})::text AS row FROM ${quoteName(table)} AS r WHERE ${inPeriod}${subject.except ? ` AND ${subject.except}` : ''}`;
  const only = (side: string, one: QualifiedName, other: QualifiedName) =>
    `(SELECT '${side}' AS "table", row FROM (${rowsOf(one)} EXCEPT ALL ${rowsOf(other)}) AS d ORDER BY row LIMIT ${limit})`;
  return sql.unsafe<Difference[]>(
    `${only('old', subject.old, subject.new)} UNION ALL ${only('new', subject.new, subject.old)}`,
  );
}

const periodOf = ({ column, bounds }: ProofSubject) => {
  const value = `r.${quoteIdentifier(column)}`;
  return bounds.length === 0
    ? `CASE WHEN ${value} IS NOT NULL THEN 0 END`
    : `width_bucket(${value}::timestamptz, ARRAY[${bounds.map(quoteLiteral).join(', ')}]::timestamptz[])`;
};

/**
 * The sum alone can be right by chance, and the exclusive or does not see what is there twice. OFFSET hides from the
 * planner what a period is made of: else it expects one a row, and sorts all rows on the disk. With the number 0 it
 * would not read them in parallel: that is no constant yet when this is decided.
 */
function sumsOf(
  table: QualifiedName,
  subject: ProofSubject,
  columns: readonly ProofColumn[],
  where: string,
): string {
  const values = columns.map(({ name, asText }) => `r.${quoteIdentifier(name)}${asText ? '::text' : ''}`);
  return `SELECT period, count(*)::float8 AS rows, sum(h)::text || ' ' || bit_xor(h)::text AS checksum
FROM (SELECT ${periodOf(subject)} AS period, hash_record_extended(ROW(${values.join(', ')}), 0) AS h
      FROM ${quoteName(table)} AS r${where ? ` WHERE ${where}` : ''} OFFSET '0') AS q
GROUP BY period`;
}
