import type { Place } from './column.ts';
import type { EarlierRun, SeedContext } from './define-seed.ts';
import type { SeedRun } from './journal.ts';
import type { Output } from './output.ts';
import type { Values } from './parameter.ts';
import { createRandom } from './random.ts';
import type { Lookup, Table } from './table.ts';

/** What a run is made from. */
export interface RunFacts {
  readonly seedNumber: number;
  readonly asOf: number;
  readonly values: Values;
  /** The runs before it, oldest first. */
  readonly earlier: readonly SeedRun[];
  readonly signal?: AbortSignal | undefined;
}

/** The context that a seed is given. */
export function createContext({ seedNumber, asOf, values, earlier, signal }: RunFacts): SeedContext {
  return {
    seed: seedNumber,
    asOf,
    values,
    signal,
    earlier: earlier.map(
      (run): EarlierRun => ({
        asOf: run.asOf ?? 0,
        values: run.values,
        rowsOf: (table) => rowsIn(run, table),
      }),
    ),
    random: (name) => createRandom(seedNumber, name),
    before: (table) => rowsBefore(earlier, table),
  };
}

/** How many rows earlier runs gave to a table. */
export function rowsBefore(earlier: readonly SeedRun[], table: string): number {
  return earlier.reduce((sum, run) => sum + rowsIn(run, table).rows, 0);
}

function rowsIn(run: SeedRun, table: string): { first: number; rows: number } {
  const part = run.parts.find((known) => known.table === table);
  return { first: part?.firstRow ?? 0, rows: part?.numbers ?? 0 };
}

/** What a column can refer to. */
export interface Targets {
  keyOf(target: Table | Lookup): (out: Output, row: number) => void;
  sizeOf(target: Table | Lookup): number;
}

/** The place of a column, `name` being its table and its own name. */
export function createPlace(seedNumber: number, name: string, targets: Targets): Place {
  return {
    random: createRandom(seedNumber, name),
    part: (inner) => createPlace(seedNumber, `${name}.${inner}`, targets),
    ...targets,
  };
}
