import { EduschemaError } from '../errors.ts';

const units: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time as PostgreSQL writes it (`500ms`, `2s`, a number of milliseconds) in milliseconds. `what` is for the error. */
export function millisecondsOf(time: string, what: string): number {
  const [, number = '', unit = 'ms'] = /^([\d.]+)\s*(us|ms|s|min|h|d)?$/.exec(time) ?? [];
  const milliseconds = Number(number) * (units[unit] ?? Number.NaN);
  if (number !== '' && Number.isFinite(milliseconds)) return milliseconds;
  throw new EduschemaError('config-invalid', `the ${what} "${time}" is no time`, {
    hint: 'as in 500ms, 2s, 0',
  });
}
