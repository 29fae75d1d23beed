import { showName } from '../../db/identifiers.ts';
import type { Bound, BoundedPartition, PartitionedTable } from '../catalogue.ts';
import { beginOf, endOf, instantOf } from '../instant.ts';
import { addSpan, type Day, type Span, showSpan, type Unit } from '../period.ts';
import { countPeriods, longestGap } from '../stretches.ts';
import { type Found, fateOf, showLocal } from './finding.ts';

/** What partitions are held against. */
export interface Wanted {
  readonly table: PartitionedTable;
  readonly unit: Unit | undefined;
  readonly today: Day;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** How far ahead of today partitions are to reach; undefined: two thirds of what `ensure` makes. */
  readonly runway: Span | undefined;
  readonly ahead: Span;
  readonly keep: Span | undefined;
}

/** Time that no partition has, between two that are there, or before the first one when that is to come. */
export interface Gap {
  /** Null: from today on. */
  readonly from: Bound | null;
  readonly to: Bound;
}

/** Where partitions leave gaps; in the order of time, as the partitions are. */
export function listGaps(partitions: readonly BoundedPartition[], now: number): Gap[] {
  const gaps: Gap[] = [];
  let reached: Bound | null | undefined;
  for (const { from, to } of partitions.filter(({ isDefault }) => !isDefault)) {
    if (from && reached === undefined && beginOf(from) > now) gaps.push({ from: null, to: from });
    if (from && reached && beginOf(from) > endOf(reached)) gaps.push({ from: reached, to: from });
    if (reached === undefined || endOf(to) > endOf(reached)) reached = to;
  }
  return gaps;
}

/** The gaps that matter, as findings: what `ensure` leaves, as it is too old, too long or too far ahead, is left here too. */
export function judgeGaps(partitions: readonly BoundedPartition[], wanted: Wanted): Found[] {
  const { table, today } = wanted;
  const fate = fateOf(partitions.some(({ isDefault }) => isDefault));
  return listGaps(partitions, wanted.now)
    .filter((gap) => matters(gap, wanted))
    .map(({ from, to }) => ({
      code: 'gap',
      partition: null,
      message: `no partition has the time from ${from ? showLocal(from.local) : today} to ${showLocal(to.local)}: rows of it ${fate}`,
      hint: `eduschema partitions ensure ${showName(table.name)}`,
    }));
}

function matters({ from, to }: Gap, wanted: Wanted): boolean {
  const { unit = 'month', today, now, keep, ahead } = wanted;
  if (!from) return true;
  // What comes before a partition for the end of time, say, is made when its time comes.
  if (endOf(to) > now)
    return (
      instantOf(from.local) < instantOf(runwayEnd(wanted)) ||
      instantOf(to.local) <= instantOf(withinCalendar(addSpan(today, ahead)))
    );
  if (keep && instantOf(to.local) <= instantOf(addSpan(today, keep, -1))) return false;
  return countPeriods(dayOf(from), dayOf(to), unit) <= longestGap;
}

/** The finding that partitions end too soon, or are none at all. */
export function judgeRunway(partitions: readonly BoundedPartition[], wanted: Wanted): Found[] {
  const { table, today, now, ahead, runway, unit } = wanted;
  const bounded = partitions.filter(({ isDefault }) => !isDefault);
  const fate = fateOf(bounded.length < partitions.length);
  const last = bounded.reduce<Bound | null | undefined>(
    (end, { to }) => (end === undefined || endOf(to) > endOf(end) ? to : end),
    undefined,
  );
  const day = runwayEnd(wanted);
  if (last === null || (last && instantOf(last.local) >= instantOf(day))) return [];
  const further = runway && addSpan(today, runway) > addSpan(today, ahead);
  const until = runway ? `${day}, ${showSpan(runway)} ahead` : day;
  const options = `${unit ? '' : ' --unit <unit>'}${further ? ` --ahead ${showSpan(runway)}` : ''}`;
  const isOver = last !== undefined && endOf(last) <= now;
  return [
    {
      code: 'runway-short',
      partition: null,
      message:
        last === undefined
          ? `it has no partitions by time: rows of today ${fate}`
          : isOver
            ? `its partitions ended at ${showLocal(last.local)}: rows of today ${fate}`
            : `its partitions end at ${showLocal(last.local)}, and should reach ${until}: rows from then on ${fate}`,
      hint: `eduschema partitions ensure ${showName(table.name)}${options}`,
    },
  ];
}

/** The day that partitions should reach: `runway` after today, else two thirds of the way that `ensure` goes. */
export function runwayEnd({ today, runway, ahead }: Pick<Wanted, 'today' | 'runway' | 'ahead'>): Day {
  if (runway) return withinCalendar(addSpan(today, runway));
  const days = (Date.parse(withinCalendar(addSpan(today, ahead))) - Date.parse(today)) / 86_400_000;
  return addSpan(today, { count: Math.floor((days * 2) / 3), unit: 'day' });
}

/** The calendar ends there: later days have more digits. */
const withinCalendar = (day: Day): Day => (/^\d{4}-/.test(day) ? day : '9999-12-31');

const dayOf = ({ local }: Bound): Day => local.slice(0, 10);
