import type { SeedPart, SeedRun } from './journal.ts';

/** Keys from `first` to `last`, both included. */
export interface SeededKeys {
  readonly first: bigint;
  readonly last: bigint;
}

/** A table in which rows were seeded, and how to tell them from others. */
export interface SeededTable {
  /** As the first run has it. */
  readonly part: SeedPart;
  /** In all runs, the oldest first. */
  readonly parts: readonly SeedPart[];
  /** The column in which a seeded row has one of the keys: its own, or that of the table it is tied to. */
  readonly column: string | undefined;
  /** In ascending order. */
  readonly ranges: readonly SeededKeys[];
}

/** The tables of runs, in the order in which they were filled. */
export function seededTables(runs: readonly SeedRun[]): SeededTable[] {
  const all = runs.flatMap(({ seed, parts }) => parts.map((part) => ({ seed, part })));
  const firsts = all.filter(
    ({ seed, part }, index) =>
      all.findIndex((other) => other.seed === seed && other.part.table === part.table) === index,
  );
  return firsts.map(({ seed, part }) => {
    const partsOf = (table: string) =>
      all.filter((other) => other.seed === seed && other.part.table === table).map((other) => other.part);
    const keyed = part.key === null ? part.tiedTo?.table : part.table;
    return {
      part,
      parts: partsOf(part.table),
      column: part.key ?? part.tiedTo?.column,
      ranges: keyed === undefined ? [] : partsOf(keyed).flatMap(keysOf),
    };
  });
}

function keysOf({ firstKey, numbers }: SeedPart): SeededKeys[] {
  if (firstKey === null || numbers === 0) return [];
  const first = BigInt(firstKey);
  return [{ first, last: first + BigInt(numbers) - 1n }];
}

/** SQL: whether an expression lies in one of the ranges. */
export function betweenAny(expression: string, ranges: readonly SeededKeys[]): string {
  if (ranges.length === 0) return 'false';
  return `(${ranges.map(({ first, last }) => `${expression} BETWEEN ${first} AND ${last}`).join(' OR ')})`;
}

/** SQL: conditions one of which holds for whatever lies in none of the ranges; each can use an index. */
export function outsideAll(expression: string, ranges: readonly SeededKeys[]): string[] {
  return [...ranges, undefined].map((range, index) => {
    const before = ranges[index - 1];
    const sides = [
      ...(before ? [`${expression} > ${before.last}`] : []),
      ...(range ? [`${expression} < ${range.first}`] : []),
    ];
    return sides.length === 0 ? 'true' : sides.join(' AND ');
  });
}
