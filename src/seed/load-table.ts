import type { TransactionSql } from 'postgres';
import { type CopySession, copyFromBuffer } from '../db/copy.ts';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import type { Place } from './column.ts';
import { explainLoadError } from './explain-load-error.ts';
import type { TargetTable } from './find-table.ts';
import { createLeafFinder, type Leaf, listLeaves } from './leaves.ts';
import type { Output } from './output.ts';
import { columnsOf, createRowSource, type RowSource, type RowSpan } from './rows.ts';
import { createStretches, type Sorting } from './stretches.ts';
import type { Table } from './table.ts';
import { type Whole, withoutLooks } from './unchecked.ts';

/** Bytes of the first COPY. */
const firstBytes = 256 * 1024;

/** Bytes of the longest one: of two there is memory, and the server keeps a note of each row until its end. */
const mostBytes = 8 * 1024 * 1024;

/** What is needed to fill a table. */
export interface LoadSettings {
  readonly sql: TransactionSql;
  readonly tap: CopySession['tap'];
  readonly span: RowSpan;
  readonly places: (column: string) => Place;
  readonly writeKey: ((out: Output, row: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told after each block how many rows were sent, and how many of the numbers are done. */
  readonly onRows: (rows: number, numbers: number) => void;
  readonly whole: Whole;
}

/** What was written. */
export interface LoadResult {
  readonly rows: number;
  /** SHA-256 of `COPY (SELECT the columns ... ORDER BY the key) TO STDOUT` under UTC, for these rows. */
  readonly checksum: string;
}

/**
 * Writes the rows of a table, in the transaction of `sql`. Throws what the server says of it, with the table's name.
 */
export async function loadTable(
  table: Table,
  target: TargetTable,
  settings: LoadSettings,
): Promise<LoadResult> {
  const source = createRowSource(table, settings.span, settings.places, settings.writeKey);
  try {
    if (table.direct) await loadLeaves(table, target, source, settings);
    else if (target.hasRowPolicies || (target.isPartitioned && target.watchesInserts))
      await loadStaged(table, target, source, settings);
    else await loadCopies(table, () => quoteName(target.name), source, settings);
  } catch (error) {
    throw explainLoadError(target.name, error);
  }
  return { rows: source.written, checksum: source.checksum() };
}

/**
 * COPY after COPY of the rows, each with as many as may be; `after` each, what is to be done with it. The next ones are
 * made meanwhile: the server reads nothing while it checks foreign keys.
 */
async function loadCopies(
  table: Table,
  into: (leaf: Leaf | undefined) => string,
  source: RowSource,
  { sql, tap, signal, onRows, span }: LoadSettings,
  { after = async () => {}, ...sorting }: Sorting & { readonly after?: () => Promise<unknown> } = {},
): Promise<void> {
  const make = createStretches(source, sorting, signal);
  let bytes = firstBytes;
  let making = make(bytes);
  for (let stretch = await making; stretch; stretch = await making) {
    // The first ones are short, so that the server has something to do soon.
    bytes = Math.min(bytes * 2, mostBytes);
    making = make(bytes);
    making.catch(() => {});
    for (const { leaf, data } of stretch.pieces) {
      await copyFromBuffer({ sql, tap }, copyInto(into(leaf), table), data);
      await after();
    }
    onRows(stretch.rows, stretch.next - span.first);
  }
}

/**
 * By way of a temporary table. Row policies forbid COPY, and a trigger that wants to see the new rows of a partitioned
 * table makes COPY insert them one by one; INSERT ... SELECT is free of both.
 */
async function loadStaged(
  table: Table,
  { name }: TargetTable,
  source: RowSource,
  settings: LoadSettings,
): Promise<void> {
  const columns = columnList(table);
  const stage = 'pg_temp.eduschema_seed_stage';
  await settings.sql.unsafe(`
    CREATE TEMPORARY TABLE eduschema_seed_stage ON COMMIT DROP AS SELECT ${columns} FROM ${quoteName(name)} WITH NO DATA`);
  const after = async () => {
    await settings.sql.unsafe(
      `INSERT INTO ${quoteName(name)} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${stage}`,
    );
    await settings.sql.unsafe(`TRUNCATE ${stage}`);
  };
  await loadCopies(table, () => stage, source, settings, { after });
  await settings.sql.unsafe(`DROP TABLE ${stage}`);
}

/** Into the partitions themselves. */
async function loadLeaves(
  table: Table,
  target: TargetTable,
  source: RowSource,
  settings: LoadSettings,
): Promise<void> {
  const timeColumn = target.partitionColumn ?? '';
  const timeOf = table.columns[timeColumn]?.timeOf?.(settings.places(timeColumn));
  const leaves = await listLeaves(settings.sql, target);
  if (!timeOf)
    throw new RangeError(`its partitions need ${timeColumn} to be a column.time() or column.date()`);
  const findLeaf = createLeafFinder(target.name, leaves);
  await withoutLooks(settings.sql, { table, target, leaves }, settings.whole, () =>
    loadCopies(table, (leaf) => quoteName((leaf ?? target).name), source, settings, {
      leafOf: (row, nth) => findLeaf(timeOf(row, nth) ?? 0),
      orderOf: table.order,
    }),
  );
}

const columnList = (table: Table) => columnsOf(table).map(quoteIdentifier).join(', ');

const copyInto = (into: string, table: Table) => `COPY ${into} (${columnList(table)}) FROM stdin`;
