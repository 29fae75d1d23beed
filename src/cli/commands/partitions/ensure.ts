import type { Command } from 'commander';
import { countOf } from '../../../output/duration.ts';
import type { Column, Report } from '../../../output/report.ts';
import type { Ensured } from '../../../partitions/ensure/ensure.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions } from '../../options.ts';
import { addPolicyOptions, type PolicyOptions, sourcesOf, tablesOf } from '../../partition-options.ts';
import { showMidnight, showTable } from '../../partition-report.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends PolicyOptions {
  readonly dryRun?: boolean;
  readonly longGaps?: boolean;
  readonly allowLongLock?: boolean;
}

/** `eduschema partitions ensure` */
export function partitionsEnsureCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('ensure [table...]')
    .description('make the partitions that are missing: gaps, and some time ahead; for cron')
    .option('--ahead <length>', 'how far ahead of today (default: the policy of the table, or 3mo)')
    .option('--long-gaps', 'also fill gaps in the past of more than a hundred periods')
    .option('--allow-long-lock', 'move what waits in the default partition however long readers are stopped')
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .action(
      runner.database(
        () => import('../../../partitions/ensure/ensure.ts'),
        async ({ ensure }, context: DatabaseContext<Options>, ...tables) => {
          const sources = sourcesOf(context);
          const ensured = await ensure(
            context.database,
            tablesOf(context, tables),
            { ...context.options, sources },
            watchMigrations(context),
          );
          return reportEnsured(ensured, context.options);
        },
      ),
    );
  addWorkOptions(addPolicyOptions(command));
}

const columns: readonly Column[] = [
  { key: 'table', title: 'table', show: showTable },
  { key: 'partition', title: 'partition', show: showTable },
  { key: 'from', title: 'from', show: showMidnight },
  { key: 'to', title: 'to', show: showMidnight },
  {
    key: 'rows',
    title: 'rows that waited',
    align: 'right',
    show: (rows: number) => rows.toLocaleString('en'),
  },
];

function reportEnsured({ tables, made, isStandby, script }: Ensured, { quiet }: Options): Report {
  const rows = made.reduce((sum, partition) => sum + partition.rows, 0);
  const summary = { tables: tables.length, made: made.length, rows, standby: isStandby };
  if (script !== undefined) return { rows: [], summary, text: script === '' ? '-- nothing to do\n' : script };
  const of = new Set(made.map(({ table }) => JSON.stringify(table))).size;
  const message = isStandby
    ? 'this server is a standby: partitions are made on the one that it follows'
    : made.length > 0
      ? `${countOf(made.length, 'partition')} made for ${countOf(of, 'table')}`
      : `nothing to do: ${countOf(tables.length, 'table')} looked at`;
  return { columns, rows: made, summary, message: quiet && made.length === 0 ? undefined : message };
}
