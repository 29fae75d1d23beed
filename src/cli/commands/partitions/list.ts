import type { Command } from 'commander';
import { parseName } from '../../../db/parse-name.ts';
import { addDatabaseOptions, type CommonOptions } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends CommonOptions {
  readonly zone?: string;
}

/** `eduschema partitions list` */
export function partitionsListCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('list [table...]')
    .description('each partition with its bounds, rows, size and what is wrong with it')
    .option('--zone <zone>', 'time zone to show bounds in')
    .action(
      runner.database(
        () => import('../../../partitions/list.ts'),
        async ({ listAll }, { database, options, settings }: DatabaseContext<Options>, ...tables) => {
          const names = tables.map((table) => parseName(table, settings.migrations.schema));
          const rows = await listAll(database, names, options);
          return { rows, summary: { partitions: rows.length } };
        },
      ),
    );
  addDatabaseOptions(command);
}
