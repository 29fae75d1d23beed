import { createHash } from 'node:crypto';
import { EduschemaError } from '../errors.ts';
import type { Place } from './column.ts';
import { type Output, reserveBytes } from './output.ts';
import type { Table } from './table.ts';

/** Told of each row that was written: where it stands in the output. */
export type OnRow = (row: number, nth: number, start: number, end: number) => void;

/** The rows of a table as text for COPY, as many at a time as are asked for. */
export interface RowSource {
  /** The number of the next row; `end` when there is none. */
  readonly next: number;
  readonly end: number;
  /** How many rows were written; more than there are numbers where a number has several rows. */
  readonly written: number;
  /** Writes the next rows behind what is in `out`: of whole numbers, until there are `bytes` of them or no more. */
  fill(out: Output, bytes: number, onRow?: OnRow): void;
  /** SHA-256 of all rows, in the order of their numbers. */
  checksum(): string;
}

/** Numbers of rows: from `first` on. */
export interface RowSpan {
  readonly first: number;
  readonly rows: number;
}

/**
 * The rows of a table with these numbers. Throws `seed-invalid`, naming table, column and row, when a column
 * cannot be made.
 */
export function createRowSource(
  table: Table,
  { first, rows }: RowSpan,
  places: (column: string) => Place,
  writeKey: ((out: Output, row: number) => void) | undefined,
): RowSource {
  const names = columnsOf(table);
  const writes = names.map((name) => {
    if (name === table.key && writeKey) return (out: Output, row: number) => writeKey(out, row);
    try {
      return table.columns[name]?.bind(places(name)) ?? (() => {});
    } catch (cause) {
      throw cause instanceof EduschemaError ? cause : badColumn(table, name, undefined, cause);
    }
  });
  const { repeat } = table;
  const hash = createHash('sha256');
  const end = first + rows;
  let next = first;
  let written = 0;
  let column = 0;

  const writeRow = (out: Output, row: number, nth: number) => {
    for (column = 0; column < writes.length; column++) {
      (writes[column] as (out: Output, row: number, nth: number) => void)(out, row, nth);
      reserveBytes(out, 1);
      out.bytes[out.at++] = 9;
    }
    out.bytes[out.at - 1] = 10;
  };

  return {
    get next() {
      return next;
    },
    end,
    get written() {
      return written;
    },
    fill(out, bytes, onRow) {
      const from = out.at;
      try {
        for (; next < end && out.at < from + bytes; next++) {
          const times = repeat ? repeat(next) : 1;
          for (let nth = 0; nth < times; nth++) {
            const start = out.at;
            writeRow(out, next, nth);
            written++;
            onRow?.(next, nth, start, out.at);
          }
        }
      } catch (cause) {
        throw cause instanceof EduschemaError ? cause : badColumn(table, names[column], next, cause);
      }
      hash.update(out.bytes.subarray(from, out.at));
    },
    checksum: () => hash.copy().digest('hex'),
  };
}

/** The columns that are written, the key first. */
export function columnsOf({ key, columns }: Table): string[] {
  return [...(key === undefined ? [] : [key]), ...Object.keys(columns)];
}

function badColumn(
  table: Table,
  column: string | undefined,
  row: number | undefined,
  cause: unknown,
): EduschemaError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const where = row === undefined ? '' : ` of row ${row}`;
  return new EduschemaError('seed-invalid', `${table.name}.${column}${where} cannot be made: ${reason}`, {
    hint: 'fix the seed and run eduschema seed again; nothing of it was kept',
    cause,
    details: { table: table.name, column, row },
  });
}
