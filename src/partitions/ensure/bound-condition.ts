import { quoteIdentifier, quoteLiteral } from '../../db/identifiers.ts';

interface Range {
  readonly from: string;
  readonly to: string;
}

/** The condition of a partition's bound, as ATTACH proves it by. */
export function boundCondition(column: string, range: Range): string {
  return `${quoteIdentifier(column)} IS NOT NULL AND ${inRange(quoteIdentifier(column), range)}`;
}

/** Whether the expression, which is SQL, lies in the range. */
export function inRange(expression: string, { from, to }: Range): string {
  return `${expression} >= ${quoteLiteral(from)} AND ${expression} < ${quoteLiteral(to)}`;
}

/** Whether it lies in one of them. */
export function inAnyRange(expression: string, ranges: readonly Range[]): string {
  return ranges.map((range) => `(${inRange(expression, range)})`).join(' OR ');
}

/** The condition of what is in none of the ranges, as ATTACH asks it of the default partition. */
export function elsewhere(column: string, ranges: readonly Range[]): string {
  const name = quoteIdentifier(column);
  return ranges
    .map(
      ({ from, to }) =>
        `(${name} IS NULL OR ${name} < ${quoteLiteral(from)} OR ${name} >= ${quoteLiteral(to)})`,
    )
    .join(' AND ');
}

/** Ranges that touch each other are joined; in the order of time. */
export function joinRanges(ranges: readonly Range[]): Range[] {
  const joined: Range[] = [];
  for (const { from, to } of ranges) {
    const last = joined.at(-1);
    if (last?.to === from) joined.splice(-1, 1, { from: last.from, to });
    else joined.push({ from, to });
  }
  return joined;
}
