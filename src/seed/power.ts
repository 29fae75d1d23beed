/**
 * `base` to the power of `exponent`, by the four basic operations alone. Engines may round Math.pow, Math.exp and
 * Math.log each in its own way, and the same seed must give the same rows in all of them. Accurate to about 1e-12.
 */
export function power(base: number, exponent: number): number {
  return exponential(exponent * logarithm(base));
}

/** The natural logarithm of a number above 0. */
function logarithm(value: number): number {
  let mantissa = value;
  let twos = 0;
  for (; mantissa >= 1.5; mantissa /= 2) twos++;
  for (; mantissa < 0.75; mantissa *= 2) twos--;
  // ln m = 2 artanh((m - 1) / (m + 1)), of which the argument is at most 0.2.
  const argument = (mantissa - 1) / (mantissa + 1);
  const square = argument * argument;
  let sum = 0;
  for (let n = 23; n >= 1; n -= 2) sum = sum * square + 1 / n;
  return 2 * argument * sum + twos * Math.LN2;
}

function exponential(value: number): number {
  const twos = Math.floor(value / Math.LN2 + 0.5);
  const rest = value - twos * Math.LN2;
  let sum = 1;
  for (let n = 18; n >= 1; n--) sum = 1 + (rest * sum) / n;
  for (let n = 0; n < twos; n++) sum *= 2;
  for (let n = 0; n > twos; n--) sum /= 2;
  return sum;
}
