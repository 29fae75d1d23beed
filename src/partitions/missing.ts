import type { BoundedPartition } from './catalogue.ts';
import { beginOf, endOf, instantOf } from './instant.ts';
import type { Day } from './period.ts';

/** A period with where it begins and ends, as literals for a bound. */
export interface Period {
  readonly day: Day;
  readonly from: string;
  readonly to: string;
}

/** A period, or a part of one, that no partition has. */
export interface Missing extends Period {
  /** False: other partitions reach into the period, and this is what they leave. */
  readonly whole: boolean;
}

/** What partitions leave of periods; both in the order of time. A partition whose detach is pending still has its range. */
export function listMissing(partitions: readonly BoundedPartition[], periods: readonly Period[]): Missing[] {
  const bounded = partitions.filter(({ isDefault }) => !isDefault);
  return periods.flatMap((period) => {
    const [begin, end] = [instantOf(period.from), instantOf(period.to)];
    const inside = bounded.filter(({ from, to }) => beginOf(from) < end && endOf(to) > begin);
    const left: Missing[] = [];
    let reached = period.from;
    for (const { from, to } of inside) {
      if (from && instantOf(from.value) > instantOf(reached))
        left.push({ day: period.day, from: reached, to: from.value, whole: false });
      reached = to && endOf(to) < end ? to.value : period.to;
    }
    if (instantOf(reached) < end)
      left.push({ day: period.day, from: reached, to: period.to, whole: inside.length === 0 });
    return left;
  });
}
