import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BoundedPartition } from '../../src/partitions/catalogue.ts';
import { inferUnit } from '../../src/partitions/infer-unit.ts';
import { instantOf } from '../../src/partitions/instant.ts';
import { listMissing } from '../../src/partitions/missing.ts';
import { addSpan, startOfPeriod, units } from '../../src/partitions/period.ts';
import { listStretches, type Wanted } from '../../src/partitions/stretches.ts';

/** Of a table of dates. */
const partition = (from: string | null, to: string | null): BoundedPartition => ({
  oid: 1,
  name: { schema: 'public', name: 'p' },
  isDefault: false,
  from: from === null ? null : { value: from, local: `${from} 00:00:00` },
  to: to === null ? null : { value: to, local: `${to} 00:00:00` },
  isPartitioned: false,
  isForeign: false,
  detachPending: false,
  rows: null,
});

const fallback: BoundedPartition = { ...partition(null, null), isDefault: true };

const wanted: Wanted = { unit: 'month', today: '2026-11-24', ahead: { count: 2, unit: 'month' } };

function missing(partitions: readonly BoundedPartition[], options: Partial<Wanted> = {}) {
  const all = { ...wanted, ...options };
  const days = [...new Set(listStretches(partitions, all).flatMap((stretch) => stretch.days))].sort();
  const next = (day: string) => addSpan(day, { count: 1, unit: all.unit });
  return listMissing(
    partitions,
    days.map((day) => ({ day, from: day, to: next(day) })),
  ).map(({ from, to }) => `${from} ${to}`);
}

describe('what is missing', () => {
  it.each([
    ['of nothing', [], ['2026-11-01 2026-12-01', '2026-12-01 2027-01-01', '2027-01-01 2027-02-01']],
    [
      'of a default partition alone',
      [fallback],
      ['2026-11-01 2026-12-01', '2026-12-01 2027-01-01', '2027-01-01 2027-02-01'],
    ],
    ['beside one that reaches beyond all', [partition('2026-11-01', null)], []],
    ['beside one that has everything', [partition(null, null), fallback], []],
    [
      'behind the history in one partition',
      [partition(null, '2026-12-01')],
      ['2026-12-01 2027-01-01', '2027-01-01 2027-02-01'],
    ],
    [
      'between two',
      [partition('2026-08-01', '2026-09-01'), partition('2026-11-01', '2027-02-01')],
      ['2026-09-01 2026-10-01', '2026-10-01 2026-11-01'],
    ],
    [
      'beside a shifted one',
      [partition('2026-11-10', '2026-12-10')],
      ['2026-12-10 2027-01-01', '2027-01-01 2027-02-01'],
    ],
    [
      'between shifted ones',
      [partition('2026-10-01', '2026-11-10'), partition('2026-11-20', '2027-02-01')],
      ['2026-11-10 2026-11-20'],
    ],
    [
      'beside one in the far future',
      [partition('2026-11-01', '2026-12-01'), partition('2030-01-01', '2030-02-01')],
      ['2026-12-01 2027-01-01', '2027-01-01 2027-02-01'],
    ],
    [
      'before the first one, which lies ahead',
      [partition('2027-01-01', '2027-02-01')],
      ['2026-11-01 2026-12-01', '2026-12-01 2027-01-01'],
    ],
    [
      'after a long time',
      [partition('2001-01-01', '2001-02-01')],
      ['2026-11-01 2026-12-01', '2026-12-01 2027-01-01', '2027-01-01 2027-02-01'],
    ],
    [
      'in a long gap',
      [partition('2001-01-01', '2001-02-01'), partition('2026-11-01', '2027-02-01')],
      ['2026-11-01 2026-12-01'].slice(1),
    ],
  ] as const)('%s', (_, partitions, expected) => {
    expect(missing(partitions)).toEqual(expected);
  });

  it('counts from the last period that is kept on', () => {
    const old = [partition('2020-01-01', '2020-02-01'), partition('2026-11-01', '2027-02-01')];

    expect(missing(old, { keep: { count: 2, unit: 'month' } })).toEqual([
      '2026-09-01 2026-10-01',
      '2026-10-01 2026-11-01',
    ]);
  });

  it('is, with what is there, every day from the first partition to the end of the time ahead, each once', () => {
    const day = fc.integer({ min: 0, max: 200 }).map((n) => addSpan('2026-08-01', { count: n, unit: 'day' }));
    fc.assert(
      fc.property(
        fc.uniqueArray(day, { minLength: 2, maxLength: 8 }),
        fc.constantFrom(...units),
        (days, unit) => {
          const sorted = [...days].sort();
          const there = sorted.flatMap((from, index) => {
            const to = sorted[index + 1];
            return index % 2 === 0 && to ? [partition(from, to)] : [];
          });
          const made = missing(there, { unit, ahead: { count: 1, unit: 'year' }, longGaps: true });
          const all = [...there.map(({ from, to }) => `${from?.value} ${to?.value}`), ...made]
            .map((range) => range.split(' ') as [string, string])
            .sort();
          for (const [index, [from]] of all.entries()) if (index > 0) expect(from).toBe(all[index - 1]?.[1]);
          const last = startOfPeriod(addSpan(wanted.today, { count: 1, unit: 'year' }), unit);
          expect((all.at(-1)?.[1] ?? '') >= addSpan(last, { count: 1, unit })).toBe(true);
          expect(
            (all[0]?.[0] ?? '') >= startOfPeriod([...sorted, wanted.today].sort()[0] as string, unit),
          ).toBe(true);
        },
      ),
    );
  });
});

describe('times as PostgreSQL writes them', () => {
  it.each([
    ['2026-12-01 00:00:00+09', '2026-11-30 15:00:00+00'],
    ['2026-12-01 00:00:00+05:45', '2026-11-30 18:15:00+00'],
    ['2026-12-01 00:00:00-03:30', '2026-12-01 03:30:00+00'],
    ['1900-01-01 00:00:00+08:27:52', '1899-12-31 15:32:08+00'],
    ['1900-01-01 00:00:00-03:06:28', '1900-01-01 03:06:28+00'],
    ['1900-01-01 00:00:00-00:01:15', '1900-01-01 00:01:15+00'],
    ['2026-12-01', '2026-12-01 00:00:00'],
  ])('%s is %s', (one, other) => {
    expect(instantOf(one)).toBe(instantOf(other));
  });

  it('are in order', () => {
    const inOrder = [
      '-infinity',
      '0044-03-15 00:00:00 BC',
      '0001-01-01',
      '1999-12-31 23:59:59.999999+00',
      '2000-01-01 00:00:00+00',
      '12026-01-01',
      'infinity',
    ];
    expect([...inOrder].sort((one, other) => (instantOf(one) < instantOf(other) ? -1 : 1))).toEqual(inOrder);
  });
});

describe('the unit of a table without a policy', () => {
  it.each([
    [
      'that of most partitions',
      [
        ['2026-01-01', '2026-02-01'],
        ['2026-02-01', '2026-03-01'],
        ['2026-03-01', '2027-01-01'],
      ],
      'month',
    ],
    [
      'of as many, that of the newest',
      [
        ['2026-01-01', '2026-02-01'],
        ['2026-02-01', '2026-02-02'],
      ],
      'day',
    ],
    ['of four weeks, none', [['2026-03-01', '2026-03-29']], undefined],
    ['of February, a month', [['2026-02-01', '2026-03-01']], 'month'],
    ['of seven days, a week', [['2026-11-23', '2026-11-30']], 'week'],
    ['of one without an end, none', [['2026-11-23', null]], undefined],
  ] as const)('is %s', (_, bounds, unit) => {
    expect(inferUnit([...bounds.map(([from, to]) => partition(from, to)), fallback])).toBe(unit);
  });
});
