import type { Sql } from 'postgres';
import type { QualifiedName } from '../../db/identifiers.ts';
import { boundsOf } from '../catalogue.ts';
import { partitionName, withSuffix } from '../partition-name.ts';
import { addSpan, type Day, listPeriods, parseSpan } from '../period.ts';
import type { Choices, PlannedPartition } from './choices.ts';

/**
 * The partitions from the end of the first one to the policy's `ahead` from `today`, one at the least, and the default
 * one, which takes what has no other: what could be inserted before can be inserted afterwards.
 */
export async function listNewPartitions(
  sql: Sql,
  table: QualifiedName,
  { end, policy, type }: Choices,
  today: Day,
): Promise<PlannedPartition[]> {
  const last = addSpan(today, parseSpan(policy.ahead, 'ahead'));
  const days = listPeriods(end, last < end ? end : last, policy.unit);
  const after = addSpan(days.at(-1) as Day, { count: 1, unit: policy.unit });
  const literals = await boundsOf(sql, { type }, policy.zone, [...days, after]);
  const named = (name: string) => ({ schema: table.schema, name });
  return [
    ...days.map((day, index) => ({
      name: named(partitionName(table.name, day, policy.unit)),
      bound: `FOR VALUES FROM ('${literals[index]}') TO ('${literals[index + 1]}')`,
    })),
    { name: named(withSuffix(table.name, '_default')), bound: 'DEFAULT' },
  ];
}
