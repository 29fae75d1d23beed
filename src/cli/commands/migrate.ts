import type { Command } from 'commander';
import { reportMigrations, watchMigrations } from '../migration-report.ts';
import { addMigrationOptions, type CommonOptions, collectCount, parseCount } from '../options.ts';
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
    .action(
      runner.database(load, async ({ migrate, folder }, context: DatabaseContext<Options>) => {
        const result = await migrate(
          context.database,
          { ...watchMigrations(context), folder },
          context.options,
        );
        return reportMigrations(result, 'applied');
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
