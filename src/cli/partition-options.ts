import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { QualifiedName } from '../db/identifiers.ts';
import { parseName } from '../db/parse-name.ts';
import { EduschemaError } from '../errors.ts';
import type { PolicySources } from '../partitions/effective-policy.ts';
import { parseSpan, type Unit, units } from '../partitions/period.ts';
import type { Policy } from '../partitions/policy.ts';
import type { CommonOptions } from './options.ts';
import type { DatabaseContext } from './run.ts';

/** The options that say how tables are partitioned, before their comments and the configuration do. */
export interface PolicyOptions extends CommonOptions {
  readonly table?: string[];
  readonly zone?: string;
  readonly unit?: string;
  readonly ahead?: string;
  readonly keep?: string;
  readonly archive?: string;
  readonly grace?: string;
}

/** Tables by `--table` as well as behind the verb, and the options that nearly every verb takes. */
export function addPolicyOptions(command: Command): Command {
  return addTableOptions(command).option(
    '--unit <unit>',
    `${units.join(', ')} (default: as the partitions are)`,
  );
}

/** The same for verbs that make nothing: how long a period is does not matter to them. */
export function addTableOptions(command: Command): Command {
  return command
    .option('--table <name>', 'this table; may be given several times (default: all by time)', collect)
    .option('--zone <zone>', 'time zone in which a period begins (default: Asia/Seoul)');
}

const collect = (text: string, before: string[] = []) => [...before, text];

/** The tables named behind the verb and by `--table`. */
export function tablesOf(
  { options, settings }: DatabaseContext<PolicyOptions>,
  tables: readonly string[],
): QualifiedName[] {
  return [...tables, ...(options.table ?? [])].map((table) => parseName(table, settings.migrations.schema));
}

/** Who may say how tables are partitioned. Throws `usage` for a unit or a length of time that is none. */
export function sourcesOf({ options, settings }: DatabaseContext<PolicyOptions>): PolicySources {
  return {
    flags: flagsOf(options),
    config: settings.found.config.partitions,
    schema: settings.migrations.schema,
  };
}

/** The context with the whole path of `--archive`: cron runs in another folder than people do. */
export function withWholePath<Options extends PolicyOptions>(
  context: DatabaseContext<Options>,
): DatabaseContext<Options> {
  const { archive } = context.options;
  if (archive === undefined) return context;
  return { ...context, options: { ...context.options, archive: resolve(context.world.cwd, archive) } };
}

/** The policy that flags alone say. */
export function flagsOf({ zone, unit, ahead, keep, archive, grace }: PolicyOptions): Partial<Policy> {
  for (const [flag, span] of Object.entries({ ahead, keep, grace }))
    if (span !== undefined) parseSpan(span, `--${flag}`);
  if (unit !== undefined && !units.some((known) => known === unit))
    throw new EduschemaError('usage', `--unit is "${unit}", which is no unit`, {
      hint: `write one of ${units.join(', ')}`,
    });
  const given = { zone, unit: unit as Unit | undefined, ahead, keep, archive, grace };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
