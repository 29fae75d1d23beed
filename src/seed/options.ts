import { EduschemaError } from '../errors.ts';
import { midnightBefore, parseAsOf } from './as-of.ts';
import type { RunWishes } from './decide-run.ts';
import type { TableSeed } from './define-seed.ts';
import type { SeedFile } from './folder.ts';

/** What is wished of a run. */
export interface SeedOptions {
  /** The seeds to run; all of them when it is empty. */
  readonly only?: readonly string[];
  /** Values of parameters, as they are typed. */
  readonly given?: Readonly<Record<string, string>>;
  readonly seedNumber?: number | undefined;
  /** A day or a time; the midnight in Seoul before `now` without it. */
  readonly asOf?: string | undefined;
  readonly append?: boolean | undefined;
  readonly now: number;
}

/** What is wished, with the date read. Throws `usage` when it is none. */
export function wishesOf({ given = {}, append = false, seedNumber, asOf, now }: SeedOptions): RunWishes {
  return {
    given,
    append,
    seedNumber,
    asOf: asOf === undefined ? undefined : parseAsOf(asOf),
    today: midnightBefore(now),
  };
}

/** Throws `usage` for a parameter that no seed has, and for --append without anything to add. */
export function checkGiven(files: readonly SeedFile[], { given, append }: RunWishes): void {
  const parameters = Object.assign(
    {},
    ...files.map(({ content }) =>
      content.kind === 'module' && 'tables' in content.seed ? (content.seed.parameters ?? {}) : {},
    ),
  ) as NonNullable<TableSeed['parameters']>;
  const known = Object.keys(parameters);
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new EduschemaError('usage', `no seed here has a parameter ${unknown}`, {
      hint:
        known.length > 0 ? `there are: ${known.join(', ')}` : 'the seeds of this folder have no parameters',
    });
  const counts = known.filter((name) => parameters[name]?.kind === 'count');
  if (append && !counts.some((name) => name in given))
    throw new EduschemaError('usage', '--append does not say what to add', {
      hint:
        counts.length > 0
          ? `say how many more, as in --append --set ${counts[0]}=1000; there are: ${counts.join(', ')}`
          : 'the seeds of this folder have nothing that can be counted',
    });
}
