import { EduschemaError } from '../errors.ts';

/** A number that the command line can change: `--set pupils=500`. */
export interface Parameter {
  readonly kind: 'count' | 'whole' | 'share';
  /** Without a value on the command line. A function is given the values of the parameters before it. */
  readonly otherwise: number | ((values: Values) => number);
  readonly least: number;
  readonly most: number;
}

export type Values = Readonly<Record<string, number>>;

/** Nobody has more rows than this, and all arithmetic on them stays exact. */
const mostRows = 1_000_000_000_000;

/** Makers of parameters. */
export const parameter = {
  /** How many rows of something: `--append` adds so many more, and none where it is not given. */
  count: (otherwise: Parameter['otherwise'], most = mostRows): Parameter => ({
    kind: 'count',
    otherwise,
    least: 0,
    most,
  }),
  /** A whole number from `least` to `most`. */
  whole: (otherwise: Parameter['otherwise'], least: number, most: number): Parameter => ({
    kind: 'whole',
    otherwise,
    least,
    most,
  }),
  /** A part of a whole, from 0 to `most`, that is written as `3%`. */
  share: (otherwise: number, most = 1): Parameter => ({ kind: 'share', otherwise, least: 0, most }),
} as const;

/** Reads a value as it is typed. Throws `usage` when it is none, or out of its limits. */
export function parseParameter(name: string, { kind, least, most }: Parameter, text: string): number {
  const value = kind === 'share' ? parseShare(text) : /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const limits =
    kind === 'share'
      ? `a share from 0% to ${most * 100}%, as in 3%`
      : `a whole number from ${least.toLocaleString('en')} to ${most.toLocaleString('en')}`;
  throw new EduschemaError('usage', `${name} is "${text}"; it must be ${limits}`, {
    hint: 'correct it; nothing was changed',
  });
}

/** Exact: 3% is 0.03, and nothing that depends on how a division is rounded. */
function parseShare(text: string): number {
  const [, percent] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
  return percent === undefined ? Number.NaN : Number(percent) / 100;
}

/**
 * The values of a seed's parameters: those that were given, else those of `recorded`, else the defaults. For rows that
 * are `added` to others, a count that is a number by default is 0.
 */
export function valuesOf(
  parameters: Readonly<Record<string, Parameter>>,
  given: Readonly<Record<string, string>>,
  recorded: Values | undefined,
  added: boolean,
): Values {
  const values: Record<string, number> = {};
  for (const [name, known] of Object.entries(parameters)) {
    const text = given[name];
    if (text !== undefined) values[name] = parseParameter(name, known, text);
    else if (recorded?.[name] !== undefined) values[name] = recorded[name];
    else if (typeof known.otherwise === 'function') values[name] = known.otherwise(values);
    else values[name] = added && known.kind === 'count' ? 0 : known.otherwise;
  }
  return values;
}
