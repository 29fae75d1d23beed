import type { Random } from './random.ts';

/** How rows are spread over time. Times are milliseconds since 1970. */
export interface TimelineOptions {
  /** The first time, included. */
  readonly from: number;
  /** The end, not included. */
  readonly to: number;
  /** How many rows are spread. */
  readonly rows: number;
  /** The number of the first one; 0 without it. */
  readonly first?: number;
  /** How much happens in the step that begins at `at`, in any unit. All steps alike without it. */
  readonly weight?: (at: number) => number;
  /** How long a step is; an hour without it. */
  readonly step?: number;
}

/**
 * The times of rows that come one after the other: each step of time gets its share of them by weight, exact to a row,
 * and inside a step they have about equal distances. Throws a RangeError when there are rows and no time for them.
 */
export function timeline(random: Random, options: TimelineOptions): (row: number) => number {
  const { from, to, rows, first = 0, weight = () => 1, step = 3_600_000 } = options;
  const steps = Math.ceil((to - from) / step);
  if (rows > 0 && !(steps > 0 && steps <= 10_000_000))
    throw new RangeError(`rows cannot be spread from ${from} to ${to} in steps of ${step} ms`);
  const starts = startsOf(steps, rows, (index) => Math.max(0, weight(from + index * step)));
  let at = 0;
  return (row) => {
    const place = row - first;
    if (!(place >= 0 && place < rows))
      throw new RangeError(`row ${row} is none of the ${rows} rows of this timeline`);
    if (place < (starts[at] as number) || place >= (starts[at + 1] as number)) at = find(starts, place);
    const start = starts[at] as number;
    const count = (starts[at + 1] as number) - start;
    const begin = from + at * step;
    const length = Math.min(step, to - begin);
    return begin + Math.floor(((place - start + random.unit(row)) / count) * length);
  };
}

/** The number of the first row of each step, and that behind the last one. */
function startsOf(steps: number, rows: number, weightOf: (index: number) => number): Float64Array {
  const starts = new Float64Array(steps + 1);
  let total = 0;
  for (let index = 0; index < steps; index++) {
    total += weightOf(index);
    starts[index + 1] = total;
  }
  if (rows > 0 && !(total > 0)) throw new RangeError('a timeline needs a step whose weight is above 0');
  for (let index = 1; index <= steps; index++)
    starts[index] = index === steps ? rows : Math.floor(((starts[index] as number) / total) * rows);
  return starts;
}

/** The step in which the row is: the last one that begins at it or before. */
function find(starts: Float64Array, place: number): number {
  let [low, high] = [0, starts.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] as number) <= place) low = middle;
    else high = middle - 1;
  }
  return low;
}
