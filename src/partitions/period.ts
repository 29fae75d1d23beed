import { EduschemaError } from '../errors.ts';

/** How long a partition is. Weeks begin on Monday, as ISO 8601 and date_trunc have it. */
export type Unit = 'day' | 'week' | 'month' | 'quarter' | 'year';

/** All units, the shortest first. */
export const units: readonly Unit[] = ['day', 'week', 'month', 'quarter', 'year'];

/** A stretch of calendar time: `3 month`. */
export interface Span {
  readonly count: number;
  readonly unit: Unit;
}

/** A calendar day, `YYYY-MM-DD`, in whatever zone the table's months begin in. Years 0001 to 9999. */
export type Day = string;

const shortUnits: Readonly<Record<string, Unit>> = {
  d: 'day',
  w: 'week',
  mo: 'month',
  q: 'quarter',
  y: 'year',
};

/** Reads `3mo`, `90d`, `2w`, `1q`, `5y`, `3 months`. Throws `usage` for anything else, as it names no length. */
export function parseSpan(text: string, what: string): Span {
  const [, digits, word = ''] = /^\s*(\d{1,5})\s*([a-z]+)\s*$/i.exec(text) ?? [];
  const lower = word.toLowerCase();
  const unit = shortUnits[lower] ?? units.find((name) => name === lower || `${name}s` === lower);
  if (digits !== undefined && unit) return { count: Number(digits), unit };
  throw new EduschemaError('usage', `${what} is "${text}", which is no length of time`, {
    hint: 'write it as 3mo, 90d, 2w, 1q or 5y',
  });
}

/** `3mo`, as `parseSpan` reads it. */
export function showSpan({ count, unit }: Span): string {
  return `${count}${Object.keys(shortUnits).find((short) => shortUnits[short] === unit)}`;
}

/** The first day of the period that `day` is in. */
export function startOfPeriod(day: Day, unit: Unit): Day {
  const date = dateOf(day);
  const month = date.getUTCMonth();
  switch (unit) {
    case 'day':
      return day;
    case 'week':
      return shift(date, -((date.getUTCDay() + 6) % 7));
    case 'month':
      return dayOf(date.getUTCFullYear(), month, 1);
    case 'quarter':
      return dayOf(date.getUTCFullYear(), month - (month % 3), 1);
    case 'year':
      return dayOf(date.getUTCFullYear(), 0, 1);
  }
}

/**
 * The day `span` after `day`, or before it with `direction` -1, but not before the year 1. A day that the month does not
 * have is its last one: a month after 31 January is 28 or 29 February.
 */
export function addSpan(day: Day, span: Span, direction: 1 | -1 = 1): Day {
  const found = move(dateOf(day), span.unit, span.count * direction);
  return direction === -1 && found < firstDay ? firstDay : found;
}

const firstDay: Day = '0001-01-01';

function move(date: Date, unit: Unit, amount: number): Day {
  if (unit === 'day' || unit === 'week') return shift(date, amount * (unit === 'week' ? 7 : 1));
  const months = amount * { month: 1, quarter: 3, year: 12 }[unit];
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + months];
  const daysInMonth = dateAt(year, month + 1, 0).getUTCDate();
  return dayOf(year, month, Math.min(date.getUTCDate(), daysInMonth));
}

/** The first days of the periods from the one with `from` in it up to and including the one with `to` in it. */
export function listPeriods(from: Day, to: Day, unit: Unit): Day[] {
  const days: Day[] = [];
  for (let day = startOfPeriod(from, unit); day <= to; day = addSpan(day, { count: 1, unit })) days.push(day);
  return days;
}

/** What a period is called in a name, by its first day: `2026_12_01`, `2026_w49`, `2026_12`, `2026_q4`, `2026`. */
export function periodName(start: Day, unit: Unit): string {
  const [year, month = '', day] = start.split('-');
  switch (unit) {
    case 'day':
      return `${year}_${month}_${day}`;
    case 'week':
      return isoWeek(start);
    case 'month':
      return `${year}_${month}`;
    case 'quarter':
      return `${year}_q${Math.ceil(Number(month) / 3)}`;
    case 'year':
      return `${year}`;
  }
}

/** The week belongs to the year that its Thursday is in. */
function isoWeek(monday: Day): string {
  const thursday = shift(dateOf(monday), 3);
  const [year = ''] = thursday.split('-');
  const days = (dateOf(thursday).getTime() - dateOf(`${year}-01-01`).getTime()) / 86_400_000;
  return `${year}_w${String(Math.floor(days / 7) + 1).padStart(2, '0')}`;
}

const dateOf = (day: Day) => new Date(`${day}T00:00:00Z`);

/** Date.UTC takes years below 100 for those of the last century. */
function dateAt(year: number, month: number, date: number): Date {
  const at = new Date(0);
  at.setUTCFullYear(year, month, date);
  return at;
}

const dayOf = (year: number, month: number, date: number): Day => showDay(dateAt(year, month, date));

const shift = (date: Date, days: number): Day => showDay(new Date(date.getTime() + days * 86_400_000));

const showDay = (date: Date): Day => date.toISOString().slice(0, 10);
