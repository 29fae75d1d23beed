import type { TransactionSql } from 'postgres';
import type { CopySession } from '../db/copy.ts';
import { createPlace, type Targets } from './context.ts';
import type { SeedPart, SeedRun } from './journal.ts';
import { createKeyWriter, createListWriter, type KeyRange } from './keys.ts';
import { loadTable } from './load-table.ts';
import { addEntries, findEntries } from './lookup-entries.ts';
import type { Pair } from './plan-parts.ts';
import type { Lookup, Table } from './table.ts';

/** Told how far the rows are. */
export interface LoadProgress {
  begin(part: SeedPart, index: number, total: number): void;
  /** `numbers` of the part's numbers are done, which are so many rows. */
  at(part: SeedPart, rows: number, numbers: number): void;
  end(part: SeedPart): void;
}

/** What is loaded, and how. */
export interface LoadRun {
  readonly tap: CopySession['tap'];
  readonly run: SeedRun;
  readonly pairs: readonly Pair[];
  readonly earlier: readonly SeedRun[];
  readonly signal: AbortSignal | undefined;
  readonly progress: LoadProgress;
}

/** Writes all rows of a run in the transaction of `sql`, and returns its parts with what was written. */
export async function loadParts(
  sql: TransactionSql,
  { tap, run, pairs, earlier, signal, progress }: LoadRun,
): Promise<SeedPart[]> {
  const lists = new Map<Table | Lookup, readonly bigint[]>();
  const targets = createTargets(run, pairs, earlier, lists);
  const parts: SeedPart[] = [];
  for (const [index, { made, target }] of pairs.entries()) {
    const part = run.parts[index] as SeedPart;
    progress.begin(part, index, pairs.length);
    if (made.kind === 'lookup') {
      const { keys, added } =
        part.numbers > 0
          ? await addEntries(sql, made, target, BigInt(part.firstKey ?? '0'))
          : { keys: (await findEntries(sql, made, target)) as bigint[], added: [] };
      lists.set(made, keys);
      parts.push({ ...part, rows: added.length, added: added.map(String) });
    } else {
      const { rows, checksum } = await loadTable(made, target, {
        sql,
        tap,
        span: { first: part.firstRow, rows: part.numbers },
        places: (column) => createPlace(run.seedNumber ?? 0, `${made.name}.${column}`, targets),
        writeKey: made.key === undefined ? undefined : targets.keyOf(made),
        signal,
        whole: { run, pairs, earlier },
        onRows: (done, numbers) => progress.at(part, done, numbers),
      });
      parts.push({ ...part, rows, checksum });
    }
    progress.end(part);
  }
  return parts;
}

/** The keys that columns can refer to: those of this run, and of runs before it. */
function createTargets(
  run: SeedRun,
  pairs: readonly Pair[],
  earlier: readonly SeedRun[],
  lists: ReadonlyMap<Table | Lookup, readonly bigint[]>,
): Targets {
  const rangesOf = (table: string): KeyRange[] =>
    [...earlier, run].flatMap(({ parts }) =>
      parts.flatMap(({ table: name, firstKey, firstRow, numbers: rows }) =>
        name === table && firstKey !== null ? [{ firstRow, rows, firstKey: BigInt(firstKey) }] : [],
      ),
    );
  const forbidStranger = (target: Table | Lookup) => {
    if (!pairs.some(({ made }) => made === target))
      throw new RangeError(`it refers to ${target.name}, which tables() does not return`);
  };
  return {
    keyOf(target) {
      forbidStranger(target);
      if (target.kind === 'lookup') return createListWriter(target.name, lists.get(target) ?? []);
      if (target.key === undefined) throw new RangeError(`it refers to ${target.name}, which has no key`);
      return createKeyWriter(target.name, rangesOf(target.name));
    },
    sizeOf(target) {
      forbidStranger(target);
      if (target.kind === 'lookup') return target.values.length;
      return rangesOf(target.name).reduce((sum, { rows }) => sum + rows, 0);
    },
  };
}
