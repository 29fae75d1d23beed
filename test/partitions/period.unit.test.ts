import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionName } from '../../src/partitions/partition-name.ts';
import {
  addSpan,
  listPeriods,
  parseSpan,
  periodName,
  showSpan,
  startOfPeriod,
  units,
} from '../../src/partitions/period.ts';

const days = fc
  .date({ min: new Date('1900-01-01'), max: new Date('2199-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));

describe('periods', () => {
  it.each([
    ['2026-11-24', 'day', '2026-11-24', '2026_11_24'],
    ['2026-11-24', 'week', '2026-11-23', '2026_w48'],
    ['2027-01-02', 'week', '2026-12-28', '2026_w53'],
    ['2026-11-24', 'month', '2026-11-01', '2026_11'],
    ['2026-11-24', 'quarter', '2026-10-01', '2026_q4'],
    ['2026-11-24', 'year', '2026-01-01', '2026'],
  ] as const)('%s is in the %s that begins on %s and is called %s', (day, unit, start, name) => {
    expect(startOfPeriod(day, unit)).toBe(start);
    expect(periodName(start, unit)).toBe(name);
  });

  it('a month after the last of January is the last of February', () => {
    expect(addSpan('2027-01-31', parseSpan('1mo', ''))).toBe('2027-02-28');
    expect(addSpan('2028-03-31', parseSpan('1mo', ''), -1)).toBe('2028-02-29');
    expect(addSpan('2026-12-31', parseSpan('2q', ''))).toBe('2027-06-30');
    for (const span of ['3000y', '99999mo', '99999q'])
      expect(addSpan('2026-12-31', parseSpan(span, ''), -1)).toBe('0001-01-01');
  });

  it('follow each other without a gap, each with its own name, whatever the unit', () => {
    fc.assert(
      fc.property(days, fc.constantFrom(...units), (day, unit) => {
        const to = addSpan(day, { count: 5, unit });
        const periods = listPeriods(day, to, unit);
        expect(periods[0] && periods[0] <= day).toBe(true);
        for (const [index, start] of periods.entries()) {
          expect(startOfPeriod(start, unit)).toBe(start);
          if (index > 0) expect(addSpan(periods[index - 1] as string, { count: 1, unit })).toBe(start);
        }
        expect(new Set(periods.map((start) => periodName(start, unit))).size).toBe(periods.length);
      }),
    );
  });

  it.each(['3mo', '90d', '2w', '1q', '5y'])('%s is read and shown alike', (text) => {
    expect(showSpan(parseSpan(text, ''))).toBe(text);
  });

  it.each(['', '3', 'mo', '-3mo', '3m', '3.5mo', '1 fortnight'])('"%s" is no length of time', (text) => {
    expect(() => parseSpan(text, 'how far ahead')).toThrow(`how far ahead is "${text}"`);
  });

  it('names stay within 63 bytes, whole in their characters, and apart', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 }),
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 }),
        (one, other) => {
          const name = partitionName(one, '2026-12-01', 'month');
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
          expect(name.endsWith('_2026_12')).toBe(true);
          expect(Buffer.from(name).toString()).toBe(name);
          if (one !== other) expect(partitionName(other, '2026-12-01', 'month')).not.toBe(name);
        },
      ),
    );
    expect(partitionName('download_logs', '2026-12-01', 'month')).toBe('download_logs_2026_12');
  });
});
