import type { Sql } from 'postgres';
import { boundsOf, type TimeType } from '../catalogue.ts';
import { addSpan, type Day, startOfPeriod, type Unit } from '../period.ts';

/** Days from now until the first partition may end, at the least: for proving it, and for whoever finds a run that was cut off. */
export const safetyDays = 7;

/** The first day at which a period begins with `safetyDays` whole days or more between it and the day `today`. */
export function firstEnd(today: Day, unit: Unit): Day {
  const earliest = addSpan(today, { count: safetyDays + 1, unit: 'day' });
  const start = startOfPeriod(earliest, unit);
  return start === earliest ? start : addSpan(start, { count: 1, unit });
}

/** What day it is in a zone, by the server's clock. */
export async function todayIn(sql: Sql, zone: string): Promise<Day> {
  const [{ today }] = await sql<[{ today: Day }]>`
    SELECT to_char(clock_timestamp() AT TIME ZONE ${zone}, 'YYYY-MM-DD') AS today`;
  return today;
}

/** Seconds from now, by the server's clock, until the day begins in the zone. */
export async function secondsUntil(sql: Sql, day: Day, zone: string): Promise<number> {
  const [{ seconds }] = await sql<[{ seconds: number }]>`
    SELECT extract(epoch FROM ${day}::text::timestamp AT TIME ZONE ${zone} - clock_timestamp())::float8 AS seconds`;
  return seconds;
}

/** The day as a literal of the column's type. */
export async function literalOf(sql: Sql, type: TimeType, zone: string, day: Day): Promise<string> {
  const [literal] = await boundsOf(sql, { type }, zone, [day]);
  return literal as string;
}

/** The day that begins at `value`, as PostgreSQL writes it under UTC, in the zone; undefined when it is no beginning. */
export async function dayOf(sql: Sql, value: string, type: TimeType, zone: string): Promise<Day | undefined> {
  const [{ local }] = await sql<[{ local: string }]>`
    SELECT to_char(CASE WHEN ${type}::text = 'timestamptz' THEN ${value}::text::timestamptz AT TIME ZONE ${zone} ELSE ${value}::text::timestamp END,
                   'YYYY-MM-DD HH24:MI:SS.US') AS local`;
  return local.endsWith(' 00:00:00.000000') ? local.slice(0, 10) : undefined;
}
