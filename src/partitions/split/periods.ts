import type { Sql } from 'postgres';
import type { QualifiedName } from '../../db/identifiers.ts';
import { boundsOf, type TimeType } from '../catalogue.ts';
import { boundLiteral, type Choices, type PlannedPartition } from '../convert/choices.ts';
import type { RowFacts } from '../convert/row-facts.ts';
import { partitionName, withSuffix } from '../partition-name.ts';
import { addSpan, type Day, listPeriods, parseSpan, periodName } from '../period.ts';

/** More make every statement slow that does not name the time, and each swap long. */
const mostPartitions = 1000;

/**
 * The days, in the zone, of the oldest and the newest row; `none` without rows, `beyond` for years that no partition is
 * made for. The oldest does not count when it goes with everything that is older.
 */
export async function daysOf(
  sql: Sql,
  { oldest, newest }: Pick<RowFacts, 'oldest' | 'newest'>,
  {
    type,
    zone,
    keepsBefore = false,
  }: { readonly type: TimeType; readonly zone: string } & Pick<Choices, 'keepsBefore'>,
): Promise<{ readonly oldest: Day; readonly newest: Day } | 'none' | 'beyond'> {
  if (oldest === null || newest === null) return 'none';
  const local = (value: string) =>
    type === 'timestamptz'
      ? sql`(${value}::text::timestamptz AT TIME ZONE ${zone})`
      : sql`${value}::text::timestamp`;
  const [days] = await sql<[{ oldest: Day; newest: Day; beyond: boolean }]>`
    SELECT to_char(${local(oldest)}, 'YYYY-MM-DD') AS oldest, to_char(${local(newest)}, 'YYYY-MM-DD') AS newest,
           (extract(year FROM ${local(oldest)}) < 1 AND NOT ${keepsBefore}) OR extract(year FROM ${local(newest)}) > 9990 AS beyond`;
  return days.beyond ? 'beyond' : days;
}

/** The first days of the periods from `first` to `last`; undefined when they are too many. */
export function listDays(first: Day, last: Day, { policy }: Pick<Choices, 'policy'>): Day[] | undefined {
  // Counted before it is listed: days since year 1 would be some hundred thousand.
  const longest = addSpan(first, { count: mostPartitions, unit: policy.unit });
  return last >= longest ? undefined : listPeriods(first, last, policy.unit);
}

/** The last day that partitions are made for: that of the policy, or of the newest row. */
export function lastDay(today: Day, newest: Day | undefined, { policy }: Pick<Choices, 'policy'>): Day {
  const ahead = addSpan(today, parseSpan(policy.ahead, 'ahead'));
  return newest !== undefined && newest > ahead ? newest : ahead;
}

/**
 * The partitions of the periods that begin on `days`, before them one for everything older when that is to stay
 * together, and the default one, which takes what has no other: what could be inserted before can be inserted afterwards.
 */
export async function listSplitPartitions(
  sql: Sql,
  table: QualifiedName,
  { policy, type, keepsBefore, endLiteral, end }: Choices,
  days: readonly Day[],
): Promise<PlannedPartition[]> {
  const after = addSpan(days.at(-1) as Day, { count: 1, unit: policy.unit });
  const literals = await boundsOf(sql, { type }, policy.zone, [...days, after]);
  const named = (name: string) => ({ schema: table.schema, name });
  const before = {
    name: named(withSuffix(table.name, `_before_${periodName(end, policy.unit)}`)),
    bound: `FOR VALUES FROM ${boundLiteral(null)} TO ${boundLiteral(endLiteral)}`,
  };
  return [
    ...(keepsBefore ? [before] : []),
    ...days.map((day, index) => ({
      name: named(partitionName(table.name, day, policy.unit)),
      bound: `FOR VALUES FROM ('${literals[index]}') TO ('${literals[index + 1]}')`,
    })),
    { name: named(withSuffix(table.name, '_default')), bound: 'DEFAULT' },
  ];
}
