import type { TransactionSql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import { rowsBefore } from './context.ts';
import { checkColumns, findTable, type TargetTable } from './find-table.ts';
import type { SeedPart, SeedRun } from './journal.ts';
import { findEntries } from './lookup-entries.ts';
import { reserveKeys } from './reserve-keys.ts';
import { columnsOf } from './rows.ts';
import type { Lookup, Table } from './table.ts';

/** A table or list of a seed beside the table of the database that it goes to. */
export interface Pair {
  readonly made: Table | Lookup;
  readonly target: TargetTable;
}

/** Finds the tables of the database. Throws when one is missing or cannot take the rows. */
export async function findTargets(
  sql: TransactionSql,
  made: readonly (Table | Lookup)[],
  current: string | undefined,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (const one of made) {
    if (pairs.some((pair) => pair.made.name === one.name))
      throw new EduschemaError('seed-invalid', `the seed fills the table ${one.name} twice`, {
        hint: 'make it one table',
      });
    const target = await findTable(sql, one.name);
    checkColumns(target, writtenBy(one), current);
    pairs.push({ made: one, target });
  }
  return pairs;
}

/** The columns that a table or list of a seed writes. */
export function writtenBy(made: Table | Lookup): string[] {
  return made.kind === 'table' ? columnsOf(made) : [made.key, ...Object.keys(made.values[0] ?? {})];
}

/** Reserves the keys of a run, and says what it will consist of. */
export async function planParts(
  sql: TransactionSql,
  pairs: readonly Pair[],
  earlier: readonly SeedRun[],
): Promise<SeedPart[]> {
  const parts: SeedPart[] = [];
  for (const { made, target } of pairs) {
    const numbers = made.kind === 'table' ? made.rows : await countMissing(sql, made, target);
    const key = made.key ?? null;
    const firstKey = key !== null && numbers > 0 ? await reserveKeys(sql, target, key, numbers) : null;
    parts.push({
      ...target.name,
      kind: made.kind,
      table: made.name,
      key,
      firstRow: made.kind === 'table' ? rowsBefore(earlier, made.name) : 0,
      numbers,
      firstKey: firstKey === null ? null : String(firstKey),
      rows: null,
      checksum: null,
      added: [],
      tiedTo: made.kind === 'table' && key === null ? tieOf(made, pairs) : null,
    });
  }
  return parts;
}

async function countMissing(sql: TransactionSql, list: Lookup, target: TargetTable): Promise<number> {
  return (await findEntries(sql, list, target)).filter((key) => key === null).length;
}

/** By the first column that refers to a numbered table of the seed, rows without a key are told from others. */
function tieOf({ columns }: Table, pairs: readonly Pair[]): SeedPart['tiedTo'] {
  for (const [column, { refersTo }] of Object.entries(columns))
    if (
      refersTo?.kind === 'table' &&
      refersTo.key !== undefined &&
      pairs.some(({ made }) => made === refersTo)
    )
      return { column, table: refersTo.name };
  return null;
}

/** Whether a plan that is recorded is still that of the seed. */
export function isSamePlan(parts: readonly SeedPart[], pairs: readonly Pair[]): boolean {
  return (
    parts.length === pairs.length &&
    pairs.every(({ made, target }, index) => {
      const part = parts[index] as SeedPart;
      return (
        part.table === made.name &&
        part.schema === target.name.schema &&
        part.name === target.name.name &&
        part.key === (made.key ?? null) &&
        (made.kind === 'lookup' || part.numbers === made.rows)
      );
    })
  );
}
