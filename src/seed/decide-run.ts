import { EduschemaError } from '../errors.ts';
import type { TableSeed } from './define-seed.ts';
import type { SeedRun } from './journal.ts';
import { parseParameter, type Values, valuesOf } from './parameter.ts';

/** What the command line says about a run. */
export interface RunWishes {
  /** Values as they were typed, by the names of parameters. */
  readonly given: Readonly<Record<string, string>>;
  readonly seedNumber?: number | undefined;
  readonly asOf?: number | undefined;
  readonly append: boolean;
  /** What counts as now when nothing else says so. */
  readonly today: number;
}

/** What is to be done for a seed of tables. */
export interface RunDecision {
  /** `nothing`: it is there. `finish`: its rows are there, the rest is not. `load`: all is to be done. */
  readonly action: 'nothing' | 'finish' | 'load';
  readonly run: number;
  readonly seedNumber: number;
  readonly asOf: number;
  readonly values: Values;
  /** The same run as it was planned before, when its plan can be kept. */
  readonly planned: SeedRun | undefined;
}

/** The seed without --seed. */
const defaultSeedNumber = 1;

/**
 * Decides what a run does, from what is recorded. A run that was planned and came to nothing is begun again as it was,
 * unless something else is wished now. Throws `seed-differs` when the rows that are there were made in another way.
 */
export function decideRun(
  name: string,
  seed: TableSeed,
  runs: readonly SeedRun[],
  wishes: RunWishes,
): RunDecision {
  const { given, append, today } = wishes;
  const parameters = seed.parameters ?? {};
  const own = Object.fromEntries(Object.entries(given).filter(([key]) => key in parameters));
  const last = runs.at(-1);
  const keep = (action: RunDecision['action'], run: SeedRun): RunDecision => ({
    action,
    run: run.run,
    seedNumber: run.seedNumber ?? defaultSeedNumber,
    asOf: run.asOf ?? today,
    values: run.values,
    planned: action === 'load' ? run : undefined,
  });

  if (last && last.state !== 'planned') {
    if (last.state === 'loaded' || !append) {
      const compared = append ? last : (runs[0] ?? last);
      const difference = differenceOf(parameters, own, compared, wishes);
      if (difference) throw seedDiffers(name, difference);
      return keep(last.state === 'loaded' ? 'finish' : 'nothing', last);
    }
    if (!Object.keys(own).some((key) => parameters[key]?.kind === 'count')) return keep('nothing', last);
  }
  if (last?.state === 'planned' && !differenceOf(parameters, own, last, wishes)) return keep('load', last);

  const before = last?.state === 'planned' ? runs.at(-2) : last;
  const settings = Object.entries(before?.values ?? {}).filter(([key]) => parameters[key]?.kind !== 'count');
  return {
    action: 'load',
    run: (before?.run ?? 0) + 1,
    seedNumber: wishes.seedNumber ?? before?.seedNumber ?? defaultSeedNumber,
    asOf: wishes.asOf ?? before?.asOf ?? today,
    values: valuesOf(parameters, own, Object.fromEntries(settings), before !== undefined || append),
    planned: undefined,
  };
}

/** What is wished otherwise than it was done, in words. */
function differenceOf(
  parameters: NonNullable<TableSeed['parameters']>,
  own: Readonly<Record<string, string>>,
  run: SeedRun,
  { seedNumber, asOf }: RunWishes,
): string | undefined {
  for (const [key, text] of Object.entries(own)) {
    const known = parameters[key];
    if (known && parseParameter(key, known, text) !== run.values[key])
      return `${key} ${known.kind === 'share' ? `${Math.round((run.values[key] ?? 0) * 10_000) / 100}%` : run.values[key]}, not ${text}`;
  }
  if (seedNumber !== undefined && seedNumber !== run.seedNumber)
    return `seed ${run.seedNumber}, not ${seedNumber}`;
  if (asOf !== undefined && asOf !== run.asOf)
    return `as-of ${new Date(run.asOf ?? 0).toISOString()}, not ${new Date(asOf).toISOString()}`;
  return undefined;
}

function seedDiffers(name: string, difference: string): EduschemaError {
  return new EduschemaError('seed-differs', `${name} is seeded already, with ${difference}`, {
    hint: 'eduschema seed --reset removes what was seeded; --append adds to it',
  });
}
