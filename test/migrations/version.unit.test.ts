import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextVersion } from '../../src/migrations/new.ts';
import { canonicalVersion, compareVersions, isVersion, parseName } from '../../src/migrations/version.ts';

describe('parseName', () => {
  it.each([
    ['1.4.0_search', { version: '1.4.0', description: 'search' }],
    ['20261122093000_add_tags', { version: '20261122093000', description: 'add tags' }],
    ['7_교육_자료', { version: '7', description: '교육 자료' }],
    ['1.0.0', undefined],
    ['v1.0.0_x', undefined],
    ['1..0_x', undefined],
    ['1.0.0-x', undefined],
  ])('reads %s', (name, expected) => {
    expect(parseName(name)).toEqual(expected);
  });
});

describe('compareVersions', () => {
  const version = fc
    .array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 4 })
    .map((numbers) => numbers.join('.'));

  it('puts 1.10.0 after 1.9.0, and takes 1.0 and 01.0.0 for one version', () => {
    expect(['1.10.0', '1.9.0', '1.9'].sort(compareVersions)).toEqual(['1.9.0', '1.9', '1.10.0']);
    expect(canonicalVersion('01.0.0')).toBe(canonicalVersion('1'));
  });

  it('is an order, in which equal means the same canonical version', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0);
        expect(compareVersions(a, b) === 0).toBe(canonicalVersion(a) === canonicalVersion(b));
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });
});

describe('nextVersion', () => {
  const now = new Date('2026-11-22T09:30:00Z');

  it.each([
    [undefined, '20261122093000'],
    ['20250101000000', '20261122093000'],
    ['20261122', '20261122093000'],
    // In the same second, by a clock that is ahead, and of more digits.
    ['20261122093000', '20261122093001'],
    ['20270101000000', '20270101000001'],
    ['2026112209300007', '2026112209300008'],
    ['1.4.0', '1.5.0'],
    ['1.9', '1.10'],
    ['007', '008'],
  ])('follows %s with %s', (newest, expected) => {
    expect(nextVersion(newest, now)).toBe(expected);
  });

  it('is a version, and newer', () => {
    const version = fc
      .array(fc.nat({ max: 999 }), { minLength: 1, maxLength: 4 })
      .map((numbers) => numbers.join('.'));
    fc.assert(
      fc.property(version, (newest) => {
        expect(isVersion(nextVersion(newest, now))).toBe(true);
        expect(compareVersions(nextVersion(newest, now), newest)).toBeGreaterThan(0);
      }),
    );
  });
});
