import type { Command } from 'commander';
import { countOf } from '../../output/duration.ts';
import { watchMigrations } from '../migration-report.ts';
import { addMigrationOptions, type CommonOptions } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly dryRun?: boolean;
}

/** `eduschema baseline` */
export function baselineCommand(program: Command, runner: Runner): void {
  const command = program
    .command('baseline')
    .description('record a version and all older ones as applied, without running them')
    .argument('<version>', 'the version that the database has')
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .action(
      runner.database(
        () => import('../../migrations/baseline.ts'),
        async ({ baseline }, context: DatabaseContext<Options>, version) => {
          const { recorded, current, script } = await baseline(
            context.database,
            watchMigrations(context),
            version as string,
            context.options,
          );
          return {
            columns: [
              { key: 'version', title: 'version' },
              { key: 'description', title: 'description' },
            ],
            rows: recorded,
            summary: { recorded: recorded.length, current: current ?? null },
            message:
              recorded.length === 0
                ? `nothing to record; the current version is ${current}`
                : `${countOf(recorded.length, 'migration')} recorded without running; the current version is ${current}`,
            text: script,
          };
        },
      ),
    );
  addMigrationOptions(command);
}
