/** How many values 32 bits have. */
const range = 4_294_967_296;

/**
 * Chooses an index by weight from 32 bits in one step, however many there are: Walker's alias method. Sums and
 * products alone, so that it comes out the same everywhere.
 */
export function createAlias(weights: readonly number[]): (bits: number) => number {
  const count = weights.length;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0) || weights.some((weight) => !(weight >= 0)))
    throw new RangeError('weights must not be negative, and one of them must be above 0');
  const shares = Float64Array.from(weights, (weight) => (weight * count) / total);
  const threshold = new Float64Array(count).fill(range);
  const other = Uint32Array.from(weights, (_, index) => index);
  const small: number[] = [];
  const large: number[] = [];
  for (let index = count - 1; index >= 0; index--)
    ((shares[index] as number) < 1 ? small : large).push(index);
  while (small.length > 0 && large.length > 0) {
    const poor = small.pop() as number;
    const rich = large.at(-1) as number;
    threshold[poor] = Math.floor((shares[poor] as number) * range);
    other[poor] = rich;
    shares[rich] = (shares[rich] as number) - (1 - (shares[poor] as number));
    if ((shares[rich] as number) < 1) small.push(large.pop() as number);
  }
  return (bits) => {
    // The whole part says the column, the rest which of its two.
    const product = bits * count;
    const column = Math.floor(product / range);
    return product - column * range < (threshold[column] as number) ? column : (other[column] as number);
  };
}
