import { describe, expect, it } from 'vitest';
import { midnightBefore, parseAsOf } from '../../src/seed/as-of.ts';
import { decideRun, type RunWishes } from '../../src/seed/decide-run.ts';
import type { SeedRun } from '../../src/seed/journal.ts';
import { parameter, parseParameter } from '../../src/seed/parameter.ts';

const seed = {
  parameters: {
    pupils: parameter.count(100),
    marks: parameter.count(({ pupils = 0 }) => pupils * 5),
    days: parameter.whole(90, 1, 3650),
    dirty: parameter.share(0, 0.5),
  },
  tables: () => [],
};
const today = Date.parse('2026-11-23T15:00:00Z');
const decide = (runs: readonly SeedRun[], wishes: Partial<RunWishes> = {}) =>
  decideRun('school', seed, runs, { given: {}, append: false, today, ...wishes });
const run = (changes: Partial<SeedRun> = {}): SeedRun => ({
  seed: 'school',
  run: 1,
  state: 'done',
  seedNumber: 1,
  asOf: Date.parse('2026-11-01T15:00:00Z'),
  values: { pupils: 10, marks: 50, days: 30, dirty: 0 },
  parts: [],
  fileChecksum: 'x',
  seededAt: null,
  ...changes,
});

describe('what a run does', () => {
  it('is everything when nothing is recorded', () => {
    expect(decide([])).toMatchObject({
      action: 'load',
      run: 1,
      seedNumber: 1,
      asOf: today,
      values: { pupils: 100, marks: 500, days: 90, dirty: 0 },
    });
    expect(decide([], { given: { pupils: '7', dirty: '3%' }, seedNumber: 5, asOf: 1 })).toMatchObject({
      seedNumber: 5,
      asOf: 1,
      values: { pupils: 7, marks: 35, days: 90, dirty: 0.03 },
    });
  });

  it('is nothing when it was done, and refused when something else is wished', () => {
    expect(decide([run()]).action).toBe('nothing');
    expect(decide([run()], { given: { pupils: '10', days: '30' }, seedNumber: 1 }).action).toBe('nothing');
    expect(() => decide([run()], { given: { pupils: '11' } })).toThrow(
      'school is seeded already, with pupils 10, not 11',
    );
    expect(() => decide([run()], { given: { dirty: '3%' } })).toThrow('with dirty 0%, not 3%');
    expect(() => decide([run()], { seedNumber: 2 })).toThrow('with seed 1, not 2');
    expect(() => decide([run()], { asOf: today })).toThrow(
      'with as-of 2026-11-01T15:00:00.000Z, not 2026-11-23',
    );
  });

  it('begins again as it was planned, unless something else is wished', () => {
    const planned = run({ state: 'planned' });

    expect(decide([planned])).toMatchObject({
      action: 'load',
      run: 1,
      values: planned.values,
      asOf: planned.asOf,
      planned,
    });
    expect(decide([planned], { given: { pupils: '20' } })).toMatchObject({
      run: 1,
      values: { pupils: 20, marks: 100, days: 90 },
      asOf: today,
      planned: undefined,
    });
  });

  it('is only the rest when the rows are there', () => {
    const loaded = run({ state: 'loaded' });

    expect(decide([loaded])).toMatchObject({ action: 'finish', run: 1 });
    expect(
      decide([run(), run({ run: 2, state: 'loaded' })], { append: true, given: { pupils: '10' } }),
    ).toMatchObject({
      action: 'finish',
      run: 2,
    });
    expect(() => decide([loaded], { append: true, given: { pupils: '5' } })).toThrow('seeded already');
  });

  it('adds what is given and what follows from it, with the settings of the run before', () => {
    expect(decide([run()], { append: true, given: { marks: '8' } })).toMatchObject({
      action: 'load',
      run: 2,
      values: { pupils: 0, marks: 8, days: 30 },
      asOf: run().asOf,
    });
    expect(decide([run()], { append: true, given: { pupils: '2', days: '5' } }).values).toEqual({
      pupils: 2,
      marks: 10,
      days: 5,
      dirty: 0,
    });
    expect(decide([run()], { append: true, given: { days: '5' } }).action).toBe('nothing');
    expect(
      decide([run(), run({ run: 2, state: 'planned' })], { append: true, given: { pupils: '3' } }),
    ).toMatchObject({
      run: 2,
      values: { pupils: 3, marks: 15, days: 30 },
    });
  });
});

describe('a parameter', () => {
  it.each([
    ['pupils', '-1'],
    ['pupils', '1.5'],
    ['pupils', ''],
    ['pupils', '1e3'],
    ['pupils', 'many'],
    ['pupils', '9223372036854775808'],
    ['pupils', '1000000000001'],
    ['days', '0'],
    ['days', '4000'],
    ['dirty', '3'],
    ['dirty', '51%'],
    ['dirty', '-1%'],
  ] as const)('%s cannot be %j', (name, text) => {
    expect(() => parseParameter(name, seed.parameters[name], text)).toThrow(
      `${name} is "${text}"; it must be`,
    );
  });

  it('is read exactly', () => {
    expect(parseParameter('dirty', seed.parameters.dirty, '3%')).toBe(0.03);
    expect(parseParameter('dirty', seed.parameters.dirty, '0%')).toBe(0);
    expect(parseParameter('pupils', seed.parameters.pupils, '0')).toBe(0);
    expect(parseParameter('pupils', seed.parameters.pupils, '1000000000000')).toBe(1e12);
  });
});

describe('--as-of', () => {
  it('is a day of Seoul, or a time', () => {
    expect(new Date(parseAsOf('2026-11-01')).toISOString()).toBe('2026-10-31T15:00:00.000Z');
    expect(new Date(parseAsOf('2026-11-01T09:30:00+09:00')).toISOString()).toBe('2026-11-01T00:30:00.000Z');
    expect(new Date(parseAsOf('2026-11-01 00:30Z')).toISOString()).toBe('2026-11-01T00:30:00.000Z');
    expect(new Date(midnightBefore(Date.parse('2026-11-24T07:11:00Z'))).toISOString()).toBe(
      '2026-11-23T15:00:00.000Z',
    );
    expect(new Date(midnightBefore(Date.parse('2026-11-24T15:00:00Z'))).toISOString()).toBe(
      '2026-11-24T15:00:00.000Z',
    );
  });

  it.each([
    'today',
    '2026-02-30',
    '2026-02-30T09:30:00Z',
    '2026-13-01',
    '2026-11-01T09:30:00',
    '26-11-01',
    '',
  ])('cannot be %j', (text) => {
    expect(() => parseAsOf(text)).toThrow(`--as-of is "${text}", which is no date`);
  });
});
