import type { TransactionSql } from 'postgres';
import { type CopySession, copyFromBlocks } from '../db/copy.ts';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import type { Place } from './column.ts';
import { explainLoadError } from './explain-load-error.ts';
import type { TargetTable } from './find-table.ts';
import { createLeafFinder, type Leaf, listLeaves } from './leaves.ts';
import type { Output } from './output.ts';
import { columnsOf, createRowSource, type RowSource, type RowSpan } from './rows.ts';
import type { Table } from './table.ts';

/** Bytes of one COPY: the server keeps a note of each row until its end, to check foreign keys. */
const statementBytes = 16 * 1024 * 1024;

/** Rows out of order that are kept back for their own partition until there are so many bytes of them. */
const strayBytes = 1024 * 1024;

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
    else await loadCopies(table, quoteName(target.name), source, settings);
  } catch (error) {
    throw explainLoadError(target.name, error);
  }
  return { rows: source.written, checksum: source.checksum() };
}

/** COPY after COPY into one table; `after` each, what is to be done with it. */
async function loadCopies(
  table: Table,
  into: string,
  source: RowSource,
  { sql, tap, signal, onRows, span }: LoadSettings,
  after: () => Promise<unknown> = async () => {},
): Promise<void> {
  const statement = copyInto(into, table);
  while (source.next < source.end) {
    let bytes = 0;
    await copyFromBlocks({ sql, tap }, statement, () => {
      signal?.throwIfAborted();
      const block = bytes < statementBytes ? source.block() : undefined;
      bytes += block?.length ?? 0;
      onRows(source.written, source.next - span.first);
      return block && [block];
    });
    await after();
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
  await loadCopies(table, stage, source, settings, async () => {
    await settings.sql.unsafe(
      `INSERT INTO ${quoteName(name)} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${stage}`,
    );
    await settings.sql.unsafe(`TRUNCATE ${stage}`);
  });
  await settings.sql.unsafe(`DROP TABLE ${stage}`);
}

/**
 * Into the partitions themselves. Rows come in the order of time but for a few, which are kept back and sent to their
 * own partition when there are enough of them.
 */
async function loadLeaves(
  table: Table,
  target: TargetTable,
  source: RowSource,
  { sql, tap, signal, places, onRows, span }: LoadSettings,
): Promise<void> {
  const timeColumn = target.partitionColumn ?? '';
  const timeOf = table.columns[timeColumn]?.timeOf?.(places(timeColumn));
  const leaves = await listLeaves(sql, target);
  if (!timeOf)
    throw new RangeError(`its partitions need ${timeColumn} to be a column.time() or column.date()`);
  const leafOf = createLeafFinder(target.name, leaves);
  const strays = createStrays();
  const flush = async (least: number) => {
    for (const [leaf, blocks] of strays.take(least))
      await copyFromBlocks({ sql, tap }, copyInto(quoteName(leaf.name), table), () => blocks.splice(0, 1)[0]);
  };

  while (source.next < source.end) {
    const leaf = leafOf(timeOf(source.next, 0) ?? 0);
    let bytes = 0;
    let over = false;
    await copyFromBlocks({ sql, tap }, copyInto(quoteName(leaf.name), table), () => {
      signal?.throwIfAborted();
      if (over || bytes >= statementBytes) return undefined;
      const outside: { leaf: Leaf; start: number; end: number }[] = [];
      const before = source.written;
      const block = source.block((row, nth, start, end) => {
        const time = timeOf(row, nth) ?? 0;
        if (time < leaf.from || time >= leaf.to) outside.push({ leaf: leafOf(time), start, end });
      });
      onRows(source.written, source.next - span.first);
      if (!block) return undefined;
      bytes += block.length;
      // When most are of another partition, the next COPY goes there.
      over = outside.length * 2 > source.written - before;
      return strays.cut(block, outside);
    });
    await flush(strayBytes);
  }
  await flush(0);
}

/** Rows for other partitions than the one that is being filled. */
function createStrays() {
  let kept = new Map<Leaf, Buffer[]>();
  return {
    /** What is left of a block without the rows that are kept back. */
    cut(block: Buffer, outside: readonly { leaf: Leaf; start: number; end: number }[]): Buffer[] {
      let at = 0;
      const left: Buffer[] = [];
      for (const { leaf, start, end } of outside) {
        if (start > at) left.push(block.subarray(at, start));
        const blocks = kept.get(leaf) ?? [];
        blocks.push(Buffer.from(block.subarray(start, end)));
        kept.set(leaf, blocks);
        at = end;
      }
      return [...left, block.subarray(at)];
    },
    /** The kept rows of the partitions that have at least so many bytes of them, as blocks for one COPY each. */
    take(least: number): [Leaf, Buffer[][]][] {
      const all = [...kept];
      const due = all.filter(([, blocks]) => blocks.reduce((sum, { length }) => sum + length, 0) >= least);
      kept = new Map(all.filter(([leaf]) => !due.some(([other]) => other === leaf)));
      return due.map(([leaf, blocks]) => [leaf, [[Buffer.concat(blocks)]]]);
    },
  };
}

const columnList = (table: Table) => columnsOf(table).map(quoteIdentifier).join(', ');

const copyInto = (into: string, table: Table) => `COPY ${into} (${columnList(table)}) FROM stdin`;
