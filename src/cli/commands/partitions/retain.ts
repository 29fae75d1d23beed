import type { Command } from 'commander';
import { countOf } from '../../../output/duration.ts';
import type { Column, Report } from '../../../output/report.ts';
import type { RetainResult } from '../../../partitions/retain/retain.ts';
import type { RetainRow } from '../../../partitions/retain/row.ts';
import { confirm } from '../../confirm.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions } from '../../options.ts';
import {
  addTableOptions,
  type PolicyOptions,
  sourcesOf,
  tablesOf,
  withWholePath,
} from '../../partition-options.ts';
import { showMidnight } from '../../partition-report.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends PolicyOptions {
  readonly dropWithoutArchive?: boolean;
  readonly restored?: boolean;
  readonly dryRun?: boolean;
}

/** `eduschema partitions retain` */
export function partitionsRetainCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('retain [table...]')
    .description(
      'partitions older than is kept: detached, archived, dropped after a grace period; asks first',
    )
    .option('--keep <span>', 'how long rows are kept: 24mo, 90d, 5y (default: the policy of the table)')
    .option(
      '--archive <folder>',
      'folder for archives (default: the policy; without one, nothing is dropped)',
    )
    .option(
      '--grace <span>',
      'how long a retired table stays beside its archive (default: the policy, or 7d)',
    )
    .option('--drop-without-archive', 'drop what is retired without an archive, after the grace period')
    .option('--restored', 'take partitions that were brought back as well')
    .option('-n, --dry-run', 'print what would be done, as SQL with its locks')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(
        () => import('../../../partitions/retain/retain.ts'),
        async ({ retain }, context: DatabaseContext<Options>, ...tables) => {
          const { options } = context;
          const sources = sourcesOf(withWholePath(context));
          const result = await retain(
            context.database,
            tablesOf(context, tables),
            { ...options, sources },
            watchMigrations(context),
            (question) => confirm(context, question),
          );
          return reportRetain(result);
        },
      ),
    );
  addWorkOptions(addTableOptions(command));
}

function reportRetain({ rows, script, standby }: RetainResult): Report {
  const count = (wanted: (row: RetainRow) => boolean) => rows.filter(wanted).length;
  const summary = {
    detached: count(({ did }) => did.includes('detach') || did.includes('freeze')),
    archived: count(({ did }) => did.includes('archive')),
    dropped: count(({ did }) => did.includes('drop')),
    left: count(({ state }) => state === 'left'),
    standby,
  };
  if (script !== undefined)
    return { rows, summary, text: script === '' ? '-- nothing to do\n' : script, failing: summary.left > 0 };
  const warnings = rows.flatMap(({ partition, obstacle }) =>
    obstacle ? [`${namedIn(obstacle.problem, partition)}; ${obstacle.remedy}`] : [],
  );
  return { columns, rows, summary, message: messageOf(summary), warnings, failing: summary.left > 0 };
}

const namedIn = (problem: string, partition: string) =>
  problem.includes(partition) ? problem : `${partition}: ${problem}`;

function messageOf(summary: Readonly<Record<string, number | boolean>>): string {
  if (summary.standby) return 'this server is a standby: nothing is done here';
  const parts = ['detached', 'archived', 'dropped'].flatMap((what) =>
    summary[what] ? [`${summary[what]} ${what}`] : [],
  );
  const done = parts.length > 0 ? parts.join(', ') : 'nothing to do';
  return summary.left
    ? `${done}; ${countOf(Number(summary.left), 'partition')} left, see the warnings`
    : done;
}

const columns: readonly Column[] = [
  { key: 'partition', title: 'partition' },
  { key: 'from', title: 'from', show: showMidnight },
  { key: 'to', title: 'to', show: showMidnight },
  {
    key: 'rows',
    title: 'rows',
    align: 'right',
    show: (rows: number | null) => rows?.toLocaleString('en') ?? '',
  },
  { key: 'state', title: 'state', colour: (state: string) => (state === 'left' ? 'yellow' : undefined) },
  { key: 'did', title: 'this run', show: (did: readonly string[]) => did.join(', ') },
  {
    key: 'dropAfter',
    title: 'dropped after',
    show: (at: string | null, row: RetainRow) => (row.state === 'dropped' ? '' : showTime(at)),
  },
  { key: 'archive', title: 'archive' },
];

const showTime = (at: string | null) => at?.replace('T', ' ').replace(/:\d\dZ$/, ' UTC') ?? '';
