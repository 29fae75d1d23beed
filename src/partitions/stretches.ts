import { EduschemaError } from '../errors.ts';
import type { Bound, BoundedPartition } from './catalogue.ts';
import { beginOf, endOf } from './instant.ts';
import { addSpan, type Day, listPeriods, type Span, startOfPeriod, type Unit } from './period.ts';

/** Time without a partition, on the calendar of the table's zone. */
export interface Stretch {
  /** The first days of the periods that lie in it, wholly or in part. */
  readonly days: readonly Day[];
  /** Between two partitions, and not after the last one; what lies further ahead than is wanted is no gap yet. */
  readonly isGap: boolean;
}

/** Periods that a gap in the past may have and is still filled: a longer one was left by somebody on purpose. */
export const longestGap = 100;

export interface Wanted {
  readonly unit: Unit;
  readonly today: Day;
  readonly ahead: Span;
  /** What is older is not missed. */
  readonly keep?: Span | undefined;
  readonly longGaps?: boolean | undefined;
}

/**
 * Where partitions are missing: between those that are there, and from the last one up to the period that the day
 * `ahead` of today is in. A gap in the past of more than `longestGap` periods counts from today on alone, unless
 * `longGaps` is asked for. Throws `usage` when `ahead` leads beyond the year 9999.
 */
export function listStretches(partitions: readonly BoundedPartition[], wanted: Wanted): Stretch[] {
  const last = lastDay(wanted);
  const bounded = partitions.filter(({ isDefault }) => !isDefault);
  const stretches: Stretch[] = [];
  const add = (from: Day | undefined, to: Day, isGap: boolean) => {
    const days = from === undefined ? [] : daysBetween(from, to, wanted);
    if (days.length > 0) stretches.push({ days, isGap });
  };
  let reached: Bound | null | undefined;
  for (const { from, to } of bounded) {
    if (reached && beginOf(from) > endOf(reached)) add(dayOf(reached), earlier(dayOf(from), last), true);
    if (reached === undefined || endOf(to) > endOf(reached)) reached = to;
  }
  if (reached === undefined) add(wanted.today, last, false);
  else if (reached !== null) add(dayOf(reached), last, false);
  return stretches;
}

const earlier = (day: Day | undefined, other: Day) => (day !== undefined && day < other ? day : other);

function daysBetween(from: Day, to: Day, { unit, today, keep, longGaps }: Wanted): Day[] {
  const [first, last, now] = [from, to, today].map((day) => startOfPeriod(day, unit)) as [Day, Day, Day];
  const kept = keep ? startOfPeriod(addSpan(today, keep, -1), unit) : first;
  const begin = kept > first ? kept : first;
  const end = last < now ? last : now;
  const isLong = begin < end && countPeriods(begin, end, unit) > longestGap;
  // None when the first is later than the last.
  return listPeriods(isLong && !longGaps ? now : begin, last, unit);
}

const daysOf: Readonly<Record<Unit, number>> = { day: 1, week: 7, month: 30.4, quarter: 91.3, year: 365.25 };

/** About how many periods lie between two days. */
export function countPeriods(from: Day, to: Day, unit: Unit): number {
  return (Date.parse(to) - Date.parse(from)) / 86_400_000 / daysOf[unit];
}

function lastDay({ today, ahead, unit }: Wanted): Day {
  const day = addSpan(today, ahead);
  // So that the end of its period has four digits too.
  if (/^\d{4}-/.test(day) && day < '9998') return startOfPeriod(day, unit);
  throw new EduschemaError('usage', 'partitions cannot be made so far ahead: the calendar ends with 9998', {
    hint: 'write --ahead as 3mo, 90d, 2w, 1q or 5y',
  });
}

/** Undefined for `infinity`, and for years that a day cannot be written with. */
function dayOf(bound: Bound | null): Day | undefined {
  return /^\d{4}-\d\d-\d\d(?= )/.exec(bound?.local ?? '')?.[0];
}
