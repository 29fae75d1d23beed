import { EduschemaError } from '../errors.ts';
import type { Column } from './column.ts';

/** Rows for a table of the database, made one by one from their numbers. */
export interface Table {
  readonly kind: 'table';
  /** `materials`, or `library.materials`; as the search path finds it. */
  readonly name: string;
  readonly rows: number;
  readonly key: string | undefined;
  readonly repeat: ((row: number) => number) | undefined;
  readonly direct: boolean;
  readonly order: ((row: number) => number) | undefined;
  readonly columns: Readonly<Record<string, Column>>;
}

/** How the rows of a table are made. */
export interface TableOptions {
  /** How many to add. Their numbers begin at 0, and go on from there with `--append`. */
  readonly rows: number;
  /** The column that is numbered from the table's sequence: what `references` of other tables point to. */
  readonly key?: string;
  /** How many rows to write for each number, when that is not one; for tables without `key`. */
  readonly repeat?: (row: number) => number;
  /**
   * Write into the partitions themselves, which is several times quicker where the table has a trigger with a
   * transition table. Triggers of the table as a whole are passed over: do in `finish` what they would have done.
   */
  readonly direct?: boolean;
  /**
   * With `direct`: rows are sent some ten thousand at a time, ascending by this whole number, at most 2^32. Those that
   * refer to the same row side by side are quicker in large tables, since indexes are then not read here and there.
   */
  readonly order?: (row: number) => number;
  readonly columns: Readonly<Record<string, Column>>;
}

/** Describes the rows of a table. Throws `seed-invalid` for what cannot be meant. */
export function table(name: string, options: TableOptions): Table {
  const { rows, key, repeat, direct = false, order, columns } = options;
  const names = Object.keys(columns);
  if (!Number.isSafeInteger(rows) || rows < 0) throw invalid(name, `${rows} is no number of rows`);
  if (names.length === 0) throw invalid(name, 'it has no columns');
  if (key !== undefined && names.includes(key))
    throw invalid(name, `its key ${key} is numbered, and cannot be one of its columns as well`);
  if (key !== undefined && repeat) throw invalid(name, 'a table with a key has one row for each number');
  for (const column of names)
    if (typeof columns[column]?.bind !== 'function')
      throw invalid(name, `${column} is made by nothing: write column.text(...), references(...)`);
  return { kind: 'table', name, rows, key, repeat, direct, order, columns };
}

/** A short list whose entries may be in the database already, and are added where they are not. */
export interface Lookup {
  readonly kind: 'lookup';
  readonly name: string;
  readonly key: string;
  readonly by: string;
  readonly match: string | undefined;
  readonly values: readonly Readonly<Record<string, string | number | boolean | null>>[];
}

/** How the entries of a list are found. */
export interface LookupOptions {
  /** The column that is numbered from the table's sequence. */
  readonly key: string;
  /** The column by which an entry is found; it is unique. */
  readonly by: string;
  /** When the unique index is over an expression, that expression: `lower(name)`. */
  readonly match?: string;
  /** The entries, each with the same columns. */
  readonly values: readonly Readonly<Record<string, string | number | boolean | null>>[];
}

/** Describes a short list. `references(list, row => index)` points to its entries, ours and those that were there. */
export function lookup(name: string, { key, by, match, values }: LookupOptions): Lookup {
  const columns = Object.keys(values[0] ?? {});
  if (!columns.includes(by)) throw invalid(name, `its entries have no ${by}`);
  if (values.some((value) => Object.keys(value).join() !== columns.join()))
    throw invalid(name, 'its entries have different columns');
  if (new Set(values.map((value) => value[by])).size < values.length)
    throw invalid(name, `two of its entries have the same ${by}`);
  return { kind: 'lookup', name, key, by, match, values };
}

function invalid(name: string, what: string): EduschemaError {
  return new EduschemaError('seed-invalid', `the table ${name} of a seed is wrong: ${what}`, {
    hint: 'see docs/seeding.md for what a table is made of',
  });
}
