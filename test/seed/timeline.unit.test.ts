import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/seed/random.ts';
import { timeline } from '../../src/seed/timeline.ts';

const hour = 3_600_000;
const random = createRandom(1, 'time');

describe('a timeline', () => {
  it('spreads rows by weight, exact to a row, in their order', () => {
    const from = Date.parse('2026-11-01T00:00:00Z');
    const weights = [1, 0, 3, 6];
    const at = timeline(random, {
      from,
      to: from + 4 * hour,
      rows: 1000,
      weight: (time) => weights[(time - from) / hour] ?? 0,
    });
    const times = Array.from({ length: 1000 }, (_, row) => at(row));

    expect([...times].sort((a, b) => a - b)).toEqual(times);
    expect(
      weights.map((_, step) => times.filter((time) => Math.floor((time - from) / hour) === step).length),
    ).toEqual([100, 0, 300, 600]);
  });

  it('says the same of a row whatever was asked before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 0, max: 1000 }),
        fc.infiniteStream(fc.nat({ max: 10 })),
        (rows, first, weights) => {
          const listed = [...weights.take(48)];
          const options = {
            from: 0,
            to: 47.5 * hour,
            rows,
            first,
            weight: (time: number) => (listed[time / hour] ?? 0) + 0.1,
          };
          const [forward, backward] = [timeline(random, options), timeline(random, options)];
          const numbers = Array.from({ length: rows }, (_, place) => first + place);
          const there = numbers.map((row) => forward(row));
          const back = numbers.toReversed().map((row) => backward(row));

          expect(back.toReversed()).toEqual(there);
          expect(there.every((time) => time >= 0 && time < 47.5 * hour)).toBe(true);
        },
      ),
    );
  });

  it('refuses rows without a time, and rows that are not its own', () => {
    expect(() => timeline(random, { from: 0, to: 0, rows: 1 })).toThrow('cannot be spread');
    expect(() => timeline(random, { from: 0, to: hour, rows: 1, weight: () => 0 })).toThrow('above 0');
    expect(timeline(random, { from: 0, to: 0, rows: 0 })).toBeTypeOf('function');
    expect(() => timeline(random, { from: 0, to: hour, rows: 5, first: 10 })(15)).toThrow('row 15 is none');
  });
});
