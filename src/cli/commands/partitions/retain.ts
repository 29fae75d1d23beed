import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parseName } from '../../../db/parse-name.ts';
import { countOf } from '../../../output/duration.ts';
import type { Column, Report } from '../../../output/report.ts';
import type { RetainResult } from '../../../partitions/retain/retain.ts';
import type { RetainRow } from '../../../partitions/retain/row.ts';
import { confirm } from '../../confirm.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions, type CommonOptions } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends CommonOptions {
  readonly keep?: string;
  readonly archive?: string;
  readonly grace?: string;
  readonly zone?: string;
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
    .option('--zone <zone>', 'time zone of the bounds (default: the policy, or Asia/Seoul)')
    .option('-n, --dry-run', 'print what would be done, as SQL with its locks')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(
        () => import('../../../partitions/retain/retain.ts'),
        async ({ retain }, context: DatabaseContext<Options>, ...tables) => {
          const { database, options, settings, world } = context;
          const names = tables.map((table) => parseName(table, settings.migrations.schema));
          const archive = options.archive === undefined ? undefined : resolve(world.cwd, options.archive);
          const result = await retain(
            database,
            names,
            { ...options, archive },
            watchMigrations(context),
            (question) => confirm(context, question),
          );
          return reportRetain(result);
        },
      ),
    );
  addWorkOptions(command);
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
    obstacle ? [`${partition}: ${obstacle.problem}; ${obstacle.remedy}`] : [],
  );
  return { columns, rows, summary, message: messageOf(summary), warnings, failing: summary.left > 0 };
}

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
  { key: 'from', title: 'from', show: showDay },
  { key: 'to', title: 'to', show: showDay },
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

/** Midnight goes without saying. */
function showDay(local: string | null): string {
  return local?.replace(/ 00:00:00$/, '') ?? '';
}

const showTime = (at: string | null) => at?.replace('T', ' ').replace(/:\d\dZ$/, ' UTC') ?? '';
