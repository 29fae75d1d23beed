import type { Sql } from 'postgres';
import { showName } from '../../db/identifiers.ts';
import { EduschemaError } from '../../errors.ts';
import { isMidnightOfStart, listOddBounds } from '../alignment.ts';
import type { BoundedPartition, PartitionedTable } from '../catalogue.ts';
import { checkZoneFits } from '../ensure/look.ts';
import type { Unit } from '../period.ts';
import { type Found, hasZone, showLocal } from './finding.ts';

/**
 * Bounds that are no midnight in the policy's zone, as a session in another one makes them: each by itself, or one
 * finding when most of them are so, and `ensure` refuses to go on.
 */
export async function judgeZone(
  sql: Sql,
  table: PartitionedTable,
  partitions: readonly BoundedPartition[],
  policy: { readonly zone: string; readonly unit: Unit | undefined },
): Promise<Found[]> {
  const { zone, unit } = policy;
  try {
    if (unit) await checkZoneFits(sql, { table, policy: { zone, unit }, partitions });
  } catch (error) {
    if (!(error instanceof EduschemaError) || error.code !== 'table-unsuitable') throw error;
    return [{ code: 'zone-wrong', partition: null, message: error.message, hint: error.hint ?? '' }];
  }
  // A month that begins on the fifteenth is somebody's choice; one that begins at nine is nobody's.
  const odd = await listOddBounds(sql, table, partitions, { zone, unit: 'day' });
  return odd.map(({ value, local }) => {
    const begins = partitions.find(({ from }) => from?.value === value);
    const ends = partitions.find(({ to }) => to?.value === value);
    const isUtc = hasZone(table) && isMidnightOfStart(value.replace(/\+00$/, ''), 'day');
    const whose = isUtc
      ? `, which is midnight in UTC and not in ${zone}`
      : `, which is no midnight in ${zone}`;
    return {
      code: 'bound-off-zone',
      partition: (begins ?? ends)?.name ?? null,
      message: `it ${begins ? 'begins' : 'ends'} at ${showLocal(local)}${whose}: rows of the hours between are in the wrong partition`,
      hint: `detach it, move its rows out, and let it be made again: eduschema partitions ensure ${showName(table.name)}; if the zone of the policy is wrong: eduschema partitions policy ${showName(table.name)} --zone <zone>`,
    };
  });
}
