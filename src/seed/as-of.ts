import { EduschemaError } from '../errors.ts';

/** Korea has had no summer time since 1988: UTC+9, always. */
const seoulMs = 9 * 3_600_000;

const dayMs = 86_400_000;

/** The midnight in Seoul with which the day of `now` began. */
export function midnightBefore(now: number): number {
  return Math.floor((now + seoulMs) / dayMs) * dayMs - seoulMs;
}

/**
 * Reads `2026-11-01`, the midnight in Seoul with which that day begins, or a time with its offset,
 * `2026-11-01T09:30:00+09:00`. Throws `usage` for anything else.
 */
export function parseAsOf(text: string): number {
  const day = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const time = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(text);
  const value = day
    ? Date.parse(`${text}T00:00:00+09:00`)
    : time
      ? Date.parse(text.replace(' ', 'T'))
      : Number.NaN;
  // Date.parse takes February 30 for March 2.
  const date = text.slice(0, 10);
  const exists = () => new Date(Date.parse(`${date}T00:00:00Z`)).toISOString().startsWith(date);
  if (Number.isFinite(value) && exists()) return value;
  throw new EduschemaError('usage', `--as-of is "${text}", which is no date`, {
    hint: 'write a day (2026-11-01, its midnight in Seoul), or a time with its offset (2026-11-01T09:30:00+09:00)',
  });
}
