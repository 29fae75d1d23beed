import type { BoundedPartition } from './catalogue.ts';
import { addSpan, type Day, type Unit, units } from './period.ts';

/**
 * How long most of the partitions with two ends are: a day, a week, a month, a quarter or a year on the calendar of
 * their zone, wherever they begin. Of units equally frequent the one of the newest partition; undefined when none of
 * them is as long as a unit.
 */
export function inferUnit(partitions: readonly BoundedPartition[]): Unit | undefined {
  const found = partitions.flatMap((partition) => unitOf(partition) ?? []).reverse();
  const count = (unit: Unit) => found.filter((other) => other === unit).length;
  return found.reduce<Unit | undefined>(
    (best, unit) => (best === undefined || count(unit) > count(best) ? unit : best),
    undefined,
  );
}

function unitOf({ from, to }: BoundedPartition): Unit | undefined {
  const [begin, end] = [divide(from?.local), divide(to?.local)];
  if (!begin || !end || begin.time !== end.time) return undefined;
  return units.find((unit) => addSpan(begin.day, { count: 1, unit }) === end.day);
}

function divide(local: string | undefined): { readonly day: Day; readonly time: string } | undefined {
  const [, day, time] = /^(\d{4}-\d\d-\d\d) (.+)$/.exec(local ?? '') ?? [];
  return day === undefined || time === undefined ? undefined : { day, time };
}
