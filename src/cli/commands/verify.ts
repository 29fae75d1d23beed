import type { Command } from 'commander';
import { countOf } from '../../output/duration.ts';
import { addMigrationOptions, type CommonOptions } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

/** `eduschema verify` */
export function verifyCommand(program: Command, runner: Runner): void {
  const command = program
    .command('verify')
    .description('compare applied migrations with their files; exit 1 when one was edited or is gone')
    .action(
      runner.database(
        () => import('../../migrations/verify.ts'),
        async ({ verify }, { database, settings }: DatabaseContext<CommonOptions>) => {
          const rows = await verify(database, settings.migrations);
          const wrong = rows.filter(({ result }) => result === 'edited' || result === 'missing');
          return {
            columns: [
              {
                key: 'result',
                title: 'result',
                colour: (result: string) =>
                  result === 'ok' ? 'green' : result === 'unrecorded' ? 'yellow' : 'red',
              },
              { key: 'version', title: 'version' },
              { key: 'description', title: 'description' },
              { key: 'file', title: 'file' },
            ],
            rows,
            summary: { checked: rows.length, wrong: wrong.length },
            message:
              wrong.length === 0
                ? `${countOf(rows.length, 'applied migration')}, all as their files say`
                : `${wrong.length} of ${countOf(rows.length, 'applied migration')} differ from their files: restore those, and write a new migration for the change`,
            failing: wrong.length > 0,
          };
        },
      ),
    );
  addMigrationOptions(command);
}
