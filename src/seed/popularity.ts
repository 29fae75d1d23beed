import { createAlias } from './alias.ts';
import { createPermutation } from './permutation.ts';
import { power } from './power.ts';

/** Ranks that have a weight each; those behind share one in groups, as a table of millions would be slow and large. */
const singleRanks = 1024;

/** Each group is wider than the one before by this factor. */
const growth = 1.02;

/**
 * Chooses one of `count` things from two times 32 bits, the thing of rank r in proportion to 1 / r^exponent; `key` says
 * which thing has which rank. Its memory does not grow with `count`.
 */
export function createPopularity(
  count: number,
  exponent: number,
  key: number,
): (first: number, second: number) => number {
  if (!(count >= 1 && count <= 2 ** 31))
    throw new RangeError('popular() chooses among 1 to 2147483648 things');
  const starts: number[] = [];
  const weights: number[] = [];
  for (let start = 0; start < count; ) {
    const width = start < singleRanks ? 1 : Math.min(Math.ceil(start * (growth - 1)), count - start);
    starts.push(start);
    weights.push(width * power(start + (width + 1) / 2, -exponent));
    start += width;
  }
  starts.push(count);
  const pick = createAlias(weights);
  const permute = createPermutation(count, key);
  return (first, second) => {
    const group = pick(first);
    const start = starts[group] as number;
    const width = (starts[group + 1] as number) - start;
    return permute(width === 1 ? start : start + Math.floor((second * width) / 4_294_967_296));
  };
}
