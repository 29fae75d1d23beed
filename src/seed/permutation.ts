/**
 * A permutation of the numbers from 0 to `count` - 1, another one for each key, without a table: a bijection of the next
 * power of two, applied again while the result is outside.
 */
export function createPermutation(count: number, key: number): (index: number) => number {
  let width = 1;
  while (2 ** width < count) width++;
  const mask = width >= 32 ? -1 : 2 ** width - 1;
  const shift = Math.max(1, width >> 1);
  const step = (value: number) => {
    let x = (value ^ key) & mask;
    x = Math.imul(x, 0x2c1b3c6d | 1) & mask;
    x ^= x >>> shift;
    x = Math.imul(x, 0x297a2d39 | 1) & mask;
    x ^= x >>> shift;
    return ((x + (key >>> 7)) & mask) >>> 0;
  };
  return (index) => {
    let result = step(index);
    while (result >= count) result = step(result);
    return result;
  };
}
