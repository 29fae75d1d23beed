import type { SeedContext } from 'eduschema';
import rhythm from '../rhythm.json' with { type: 'json' };

export const hour = 3_600_000;
export const day = 24 * hour;

/** Seoul is nine hours ahead of UTC, always. */
const seoul = 9 * hour;

/** A run of the seed: this one, or one before it. */
export interface Run {
  readonly asOf: number;
  readonly values: { readonly days: number };
}

/** When the logs of a run begin. */
export const windowOf = ({ asOf, values }: Run) => asOf - values.days * day;

/** When the library was opened: three years before, or a year before the logs, whatever is earlier. */
export const openingOf = ({ asOf, values }: Run) => asOf - Math.max(3 * 365, values.days + 365) * day;

/** The year of a time in Seoul. */
export const yearOf = (at: number) => new Date(at + seoul).getUTCFullYear();

/** `2026/11`, the month of a time in Seoul. */
export const monthOf = (at: number) => new Date(at + seoul).toISOString().slice(0, 7).replace('-', '/');

const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/**
 * How many visits an hour has, relative to others: seasons of the school year, days of the week, holidays, hours of the
 * day, growth, and days that are busier than others for no reason.
 */
export function createRhythm({ random }: SeedContext, from: number): (at: number) => number {
  const chance = random('rhythm');
  return (at) => {
    const local = new Date(at + seoul);
    const date = Math.floor((at + seoul) / day);
    const isHoliday = rhythm.holidays.includes(local.toISOString().slice(5, 10));
    const weekday = isHoliday ? 'sun' : (weekdays[local.getUTCDay()] ?? 'sun');
    return (
      (rhythm.months[local.getUTCMonth()] ?? 1) *
      rhythm.weekdays[weekday] *
      ((rhythm.hours[local.getUTCHours()] ?? 0) + 0.2) *
      (1 + (rhythm.growthPerYear * (at - from)) / (365 * day)) *
      (0.8 + 0.4 * chance.unit(date)) *
      (0.85 + 0.3 * chance.unit(Math.floor(at / hour), 1))
    );
  };
}

/** Not `**`, of which engines may differ in the last bit. */
export const square = (value: number) => value * value;
