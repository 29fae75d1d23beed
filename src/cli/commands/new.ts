import type { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../options.ts';
import type { Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly ts?: boolean;
}

/** `eduschema new` */
export function newCommand(program: Command, runner: Runner): void {
  const command = program
    .command('new')
    .description('write an empty migration')
    .argument('<name...>', 'what it does, as in: add search')
    .option('--ts', 'TypeScript instead of SQL')
    .option('-d, --dir <folder>', 'folder of migrations (default: migrations)')
    .action(
      runner.local<Options>(async ({ settings, options }, ...words) => {
        const { newMigration } = await import('../../migrations/new.ts');
        const written = await newMigration(settings.migrations, words.join(' '), {
          typescript: options.ts,
          now: new Date(),
        });
        return {
          rows: [written],
          summary: {},
          message: `wrote ${written.file}\nnext: fill it in, then eduschema migrate`,
        };
      }),
    );
  addCommonOptions(command);
}
