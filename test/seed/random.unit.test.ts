import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAlias } from '../../src/seed/alias.ts';
import { createPermutation } from '../../src/seed/permutation.ts';
import { power } from '../../src/seed/power.ts';
import { createRandom } from '../../src/seed/random.ts';

const range = 2 ** 32;

describe('chance', () => {
  it('is a function of seed, name, row and nth, and stays what it is', () => {
    const random = createRandom(1, 'materials.title');

    expect([0, 1, 2 ** 33].map((row) => random.bits(row))).toMatchInlineSnapshot(`
      [
        367671436,
        660075470,
        151442274,
      ]
    `);
    expect(random.bits(1, 1)).not.toBe(random.bits(1));
    expect(createRandom(2, 'materials.title').bits(1)).not.toBe(random.bits(1));
    expect(createRandom(1, 'materials.name').bits(1)).not.toBe(random.bits(1));
    expect(random.unit(7)).toMatchInlineSnapshot(`0.36418921071222865`);
  });

  it('is even: each bit is set in half of the rows, also beside another name, row or nth', () => {
    const random = createRandom(1, 'a');
    const other = createRandom(1, 'b');
    const rows = 20_000;
    for (const draw of [
      (row: number) => random.bits(row),
      (row: number) => random.bits(row) ^ other.bits(row),
      (row: number) => random.bits(row) ^ random.bits(row + 1),
      (row: number) => random.bits(row) ^ random.bits(row, 1),
      (row: number) => random.bits(row) ^ random.bits(row + range),
    ])
      for (let bit = 0; bit < 32; bit++) {
        let set = 0;
        for (let row = 0; row < rows; row++) set += (draw(row) >>> bit) & 1;
        expect(Math.abs(set / rows - 0.5), `bit ${bit}`).toBeLessThan(0.02);
      }
  });

  it('stays inside its limits', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (seed, row, limit) => {
          const random = createRandom(seed, 'x');
          const [unit, below] = [random.unit(row), random.below(limit, row)];
          expect(unit >= 0 && unit < 1).toBe(true);
          expect(Number.isInteger(below) && below >= 0 && below < limit).toBe(true);
        },
      ),
    );
  });

  it('chooses by weight', () => {
    const choose = createRandom(3, 'x').choice(['a', 'b', 'c', 'never'], (item) =>
      item === 'a' ? 6 : item === 'b' ? 3 : item === 'c' ? 1 : 0,
    );
    const counts: Record<string, number> = { a: 0, b: 0, c: 0, never: 0 };
    for (let row = 0; row < 50_000; row++) counts[choose(row)] = (counts[choose(row)] ?? 0) + 1;

    expect(counts.never).toBe(0);
    expect((counts.a ?? 0) / 50_000).toBeCloseTo(0.6, 1);
    expect((counts.c ?? 0) / 50_000).toBeCloseTo(0.1, 1);
  });

  it('makes the thing of rank r come in proportion to 1 / r, and draws which thing that is', () => {
    const count = 200_000;
    const draws = 400_000;
    const random = createRandom(1, 'popular');
    const choose = random.popular(count, 1);
    const counts = new Uint32Array(count);
    for (let row = 0; row < draws; row++) counts[choose(row)] = (counts[choose(row)] ?? 0) + 1;
    const sorted = [...counts].sort((a, b) => b - a);
    const harmonic = Math.log(count) + 0.5772;

    expect((sorted[0] ?? 0) / draws).toBeCloseTo(1 / harmonic, 2);
    expect((sorted[9] ?? 0) / (sorted[0] ?? 1)).toBeCloseTo(1 / 10, 1);
    const firstThousand = sorted.slice(0, 1000).reduce((sum, value) => sum + value, 0);
    expect(firstThousand / draws).toBeCloseTo((Math.log(1000) + 0.5772) / harmonic, 1);
    expect(counts.indexOf(sorted[0] ?? 0)).not.toBe(createRandom(2, 'popular').popular(count, 1)(0));
  });

  it('chooses among one and among two', () => {
    const random = createRandom(1, 'x');

    expect(random.popular(1, 1)(5)).toBe(0);
    expect(new Set(Array.from({ length: 50 }, (_, row) => random.popular(2, 1)(row)))).toEqual(
      new Set([0, 1]),
    );
    expect(() => random.popular(0, 1)).toThrow('among 1 to');
  });
});

describe('the alias method', () => {
  it('refuses weights that are none', () => {
    expect(() => createAlias([0, 0])).toThrow('above 0');
    expect(() => createAlias([1, -1])).toThrow('negative');
    expect(() => createAlias([])).toThrow('above 0');
  });

  it('gives each index its share of all 32-bit numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 20 }), (weights) => {
        fc.pre(weights.some((weight) => weight > 0));
        const pick = createAlias(weights);
        const steps = 20_000;
        const counts = weights.map(() => 0);
        for (let step = 0; step < steps; step++) {
          const index = pick(Math.floor(((step + 0.5) / steps) * range));
          counts[index] = (counts[index] ?? 0) + 1;
        }
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (const [index, weight] of weights.entries())
          expect(Math.abs((counts[index] ?? 0) / steps - weight / total)).toBeLessThan(0.01);
      }),
    );
  });
});

describe('a permutation', () => {
  it('reaches each number once, whatever the count and the key', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer(), (count, key) => {
        const permute = createPermutation(count, key);
        const reached = new Set(Array.from({ length: count }, (_, index) => permute(index)));
        expect(reached.size).toBe(count);
        expect([...reached].every((index) => index >= 0 && index < count)).toBe(true);
      }),
    );
  });

  it('stays inside two thousand millions', () => {
    const permute = createPermutation(2 ** 31, 12345);

    for (const index of [0, 1, 2 ** 31 - 1]) expect(permute(index)).toBeLessThan(2 ** 31);
  });
});

describe('power', () => {
  it('is what mathematics says', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-3, max: 1e9, noNaN: true }),
        fc.double({ min: -3, max: 3, noNaN: true }),
        (base, exponent) => {
          expect(power(base, exponent) / base ** exponent).toBeCloseTo(1, 10);
        },
      ),
    );
  });
});
