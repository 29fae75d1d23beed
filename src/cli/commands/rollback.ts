import type { Command } from 'commander';
import { confirm } from '../confirm.ts';
import { reportMigrations, watchMigrations } from '../migration-report.ts';
import { addMigrationOptions, type CommonOptions, collectCount, parseCount } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly to?: string;
  readonly all?: boolean;
  readonly steps?: number;
  readonly dryRun?: boolean;
  readonly singleTransaction?: boolean;
  readonly markDone?: number[];
  readonly redo?: number[];
}

/** `eduschema rollback` */
export function rollbackCommand(program: Command, runner: Runner): void {
  const command = program
    .command('rollback')
    .description('undo the newest migration, or several')
    .option('--to <version>', 'undo all above this version, which stays')
    .option('--all', 'undo everything')
    .option('--steps <count>', 'undo this many (default: 1)', parseCount)
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .option('--mark-done <statement>', 'after a failure: take this statement for carried out', collectCount)
    .option('--redo <statement>', 'after a failure: carry out this statement again', collectCount)
    .option('--single-transaction', 'all in one transaction: all are undone, or none')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(
        () => import('../../migrations/migrate.ts'),
        async ({ listRollback, rollback }, context: DatabaseContext<Options>) => {
          const settings = watchMigrations(context);
          if (!context.options.dryRun) {
            const names = await listRollback(context.database, settings, context.options);
            if (names.length > 0)
              await confirm(
                context,
                `This undoes ${names.join(', ')} in ${context.database.facts.database}, with its data.`,
              );
          }
          const result = await rollback(context.database, settings, context.options);
          return reportMigrations(result, 'undone');
        },
      ),
    );
  addMigrationOptions(command);
}
