import type { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../options.ts';
import type { Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly template?: string;
}

/** `eduschema init` */
export function initCommand(program: Command, runner: Runner): void {
  const command = program
    .command('init')
    .description('make this folder a project: a configuration and a folder for migrations')
    .option('--template <name>', 'start from a schema that ships with eduschema: education')
    .action(
      runner.local<Options>(async ({ world, options }) => {
        const { initProject } = await import('../../init/init.ts');
        const { written } = initProject(world.cwd, options.template);
        const next = options.template ? 'eduschema migrate' : 'eduschema new <name>, then eduschema migrate';
        return {
          rows: written.map((path) => ({ path })),
          summary: {},
          message: `wrote ${written.join(', ')}\nnext: ${next}`,
        };
      }),
    );
  addCommonOptions(command);
}
