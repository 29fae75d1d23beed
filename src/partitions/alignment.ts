import type { Sql } from 'postgres';
import { type Bound, type BoundedPartition, boundsOf, type PartitionedTable } from './catalogue.ts';
import { instantOf } from './instant.ts';
import { type Day, startOfPeriod, type Unit } from './period.ts';

/** The bounds of partitions that are no beginning of a period in the zone that they were listed in. */
export async function listOddBounds(
  sql: Sql,
  table: PartitionedTable,
  partitions: readonly BoundedPartition[],
  { zone, unit }: { readonly zone: string; readonly unit: Unit },
): Promise<Bound[]> {
  const doubtful = boundsIn(partitions).filter(({ local }) => !isMidnightOfStart(local, unit));
  // Where clocks are put forward at midnight a day begins at one.
  const begins = doubtful.filter(({ local }) => beginsPeriod(dayOf(local), unit));
  const expected = await boundsOf(
    sql,
    table,
    zone,
    begins.map(({ local }) => dayOf(local)),
  );
  return doubtful.filter((bound) => {
    const literal = expected[begins.indexOf(bound)];
    return literal === undefined || instantOf(literal) !== instantOf(bound.value);
  });
}

/** The finite bounds of partitions: a bound that two of them share counts once. */
export function boundsIn(partitions: readonly BoundedPartition[]): Bound[] {
  const bounds = partitions.flatMap(({ from, to }) => [from, to]).filter((bound) => bound !== null);
  const finite = bounds.filter(({ value }) => Number.isFinite(instantOf(value)));
  return [...new Map(finite.map((bound) => [bound.value, bound])).values()];
}

/** Whether `2026-12-01 00:00:00` is the first moment of a period. */
export function isMidnightOfStart(local: string, unit: Unit): boolean {
  return local.endsWith(' 00:00:00') && beginsPeriod(dayOf(local), unit);
}

const dayOf = (local: string): Day => local.slice(0, local.indexOf(' '));

const beginsPeriod = (day: Day, unit: Unit) =>
  /^\d{4}-\d\d-\d\d$/.test(day) && startOfPeriod(day, unit) === day;
