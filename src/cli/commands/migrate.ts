import { resolve } from 'node:path';
import type { Command } from 'commander';
import { reportMigrations, watchMigrations } from '../migration-report.ts';
import { addMigrationOptions, type CommonOptions, collectCount, parseCount } from '../options.ts';
import { reportPlan } from '../plan-report.ts';
import type { DatabaseContext, Runner } from '../run.ts';
import type { Settings } from '../settings.ts';

interface Options extends CommonOptions {
  readonly to?: string;
  readonly steps?: number;
  readonly dryRun?: boolean;
  readonly singleTransaction?: boolean;
  readonly markDone?: number[];
  readonly redo?: number[];
  readonly outOfOrder?: boolean;
  readonly plan?: string;
  readonly fromPlan?: string;
}

/** `eduschema migrate` */
export function migrateCommand(program: Command, runner: Runner): void {
  const command = program
    .command('migrate')
    .description('apply the migrations that are pending')
    .option('--to <version>', 'stop after this version')
    .option('--steps <count>', 'apply this many', parseCount)
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .option('--mark-done <statement>', 'after a failure: take this statement for carried out', collectCount)
    .option('--redo <statement>', 'after a failure: carry out this statement again', collectCount)
    .option('--single-transaction', 'all in one transaction: all are applied, or none')
    .option('--out-of-order', 'also those older than the newest applied one')
    .option('--plan <file>', 'write down what would be done, change nothing (-: to stdout)')
    .option('--from-plan <file>', 'do what this plan says, if nothing has changed since')
    .action(
      runner.database(load, async ({ migrate, folder }, context: DatabaseContext<Options>) => {
        const { plan, fromPlan, ...options } = context.options;
        const named = (file: string) => ({ path: resolve(context.world.cwd, file), shown: file });
        const result = await migrate(
          context.database,
          { ...watchMigrations(context), folder },
          {
            ...options,
            ...(plan === undefined ? {} : { plan: named(plan) }),
            ...(fromPlan === undefined ? {} : { fromPlan: named(fromPlan) }),
          },
        );
        if (!result.plan) return reportMigrations(result, 'applied');
        if (result.script !== undefined) context.progress.say(`sha256: ${result.plan.sha256}`);
        return reportPlan(result.plan, result);
      }),
    );
  addMigrationOptions(command);
}

async function load({ migrations }: Settings) {
  const [{ migrate }, { beginReading }] = await Promise.all([
    import('../../migrations/migrate.ts'),
    import('../../migrations/folder.ts'),
  ]);
  return { migrate, folder: beginReading(migrations) };
}
