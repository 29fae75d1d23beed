import { createHash } from 'node:crypto';
import { createAlias } from './alias.ts';
import { createPopularity } from './popularity.ts';

/**
 * Numbers that look drawn by chance, and are a function of the seed, a name, the row and `nth`: the same in any order,
 * in any process, on any machine. `nth` tells several draws for one row apart.
 */
export interface Random {
  /** A whole number from 0 to 4294967295. */
  bits(row: number, nth?: number): number;
  /** A number from 0 to 1, which is not included, in steps of 2^-53. */
  unit(row: number, nth?: number): number;
  /** A whole number from 0 to `limit`, which is not included. */
  below(limit: number, row: number, nth?: number): number;
  /** Whether something of this probability happens. */
  happens(probability: number, row: number, nth?: number): boolean;
  /** Chooses an item of `items` for each row, by its weight if there are weights. */
  choice<T>(items: readonly T[], weightOf?: (item: T) => number): (row: number, nth?: number) => T;
  /**
   * Chooses one of `count` things for each row, some far more often than others: the thing of rank r in proportion to
   * 1 / r^exponent (Zipf's law). Which thing has which rank is drawn too.
   */
  popular(count: number, exponent: number): (row: number, nth?: number) => number;
}

/** Numbers for the name in the seed; another name, other numbers. */
export function createRandom(seed: number, name: string): Random {
  const key = createHash('sha256').update(`${seed}\0${name}`).digest();
  const [first, second, third] = [key.readInt32LE(0), key.readInt32LE(4), key.readInt32LE(8)];
  const bits = (row: number, nth = 0) => hash(row, nth, first, second);
  const below = (limit: number, row: number, nth = 0) =>
    Math.floor((hash(row, nth, first, second) * limit) / range);
  return {
    bits,
    unit: (row, nth = 0) =>
      ((hash(row, nth, first, second) >>> 5) * 67_108_864 + (hash(row, nth, second, third) >>> 6)) /
      9_007_199_254_740_992,
    below,
    happens: (probability, row, nth = 0) => hash(row, nth, first, second) < probability * range,
    choice(items, weightOf) {
      if (!weightOf) return (row, nth = 0) => items[below(items.length, row, nth)] as never;
      const pick = createAlias(items.map(weightOf));
      return (row, nth = 0) => items[pick(bits(row, nth))] as never;
    },
    popular(count, exponent) {
      const pick = createPopularity(count, exponent, third);
      return (row, nth = 0) => pick(hash(row, nth, first, second), hash(row, nth, second, third));
    },
  };
}

/** How many values 32 bits have. */
const range = 4_294_967_296;

/**
 * Two rounds of an integer hash with little bias, https://github.com/skeeto/hash-prospector, a key before each. Only
 * 32-bit arithmetic, which is the same in every engine.
 */
function hash(row: number, nth: number, first: number, second: number): number {
  const high = (row / range) | 0;
  const inner = mix(row ^ first);
  return mix(inner + second + Math.imul(nth, 0x9e3779b1) + Math.imul(high, 0x85ebca6b)) >>> 0;
}

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}
