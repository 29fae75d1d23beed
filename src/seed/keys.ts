import { type Output, writeBytes, writeInteger, writeText } from './output.ts';

/** Row numbers from `firstRow` on, and the keys that they have: from `firstKey` on. */
export interface KeyRange {
  readonly firstRow: number;
  readonly rows: number;
  readonly firstKey: bigint;
}

/** Writes the key of a row of a table, wherever its ranges lie. Throws a RangeError for a row that is in none. */
export function createKeyWriter(
  table: string,
  ranges: readonly KeyRange[],
): (out: Output, row: number) => void {
  const filled = ranges.filter(({ rows }) => rows > 0);
  const writers = filled.map(({ firstRow, rows, firstKey }) => ({
    firstRow,
    end: firstRow + rows,
    write: createRangeWriter(firstKey, firstRow, rows),
  }));
  let last = writers[0];
  return (out, row) => {
    if (last === undefined || row < last.firstRow || row >= last.end) {
      last = writers.find(({ firstRow, end }) => row >= firstRow && row < end) ?? last;
      if (last === undefined || !(row >= last.firstRow && row < last.end))
        throw new RangeError(
          `it refers to row ${row} of ${table}, which has ${writers.at(-1)?.end ?? 0} rows in this seed`,
        );
    }
    last.write(out, row);
  };
}

function createRangeWriter(
  firstKey: bigint,
  firstRow: number,
  rows: number,
): (out: Output, row: number) => void {
  // Beyond 2^53 numbers are not exact; such keys are rare, and take the slow way.
  if (firstKey + BigInt(rows) <= BigInt(Number.MAX_SAFE_INTEGER)) {
    const offset = Number(firstKey) - firstRow;
    return (out, row) => writeInteger(out, row + offset);
  }
  const offset = firstKey - BigInt(firstRow);
  return (out, row) => writeText(out, String(BigInt(row) + offset));
}

/** Writes the keys of a list, by the place of the entry. */
export function createListWriter(list: string, keys: readonly bigint[]): (out: Output, row: number) => void {
  const encoded = keys.map((key) => Buffer.from(String(key)));
  return (out, row) => {
    const bytes = encoded[row];
    if (!bytes)
      throw new RangeError(`it refers to entry ${row} of ${list}, which has ${encoded.length} entries`);
    writeBytes(out, bytes);
  };
}
