import type { Command } from 'commander';
import type { StatusResult, StatusRow } from '../../migrations/status.ts';
import type { Column, Report } from '../../output/report.ts';
import { addMigrationOptions, type CommonOptions } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly exitCode?: boolean;
}

/** `eduschema status` */
export function statusCommand(program: Command, runner: Runner): void {
  const command = program
    .command('status')
    .description('what is applied and what is pending')
    .option('--exit-code', 'exit 1 unless every migration is applied as it is')
    .action(
      runner.database(
        () => import('../../migrations/status.ts'),
        async ({ status }, { database, settings, options }: DatabaseContext<Options>) => {
          return reportStatus(await status(database, settings.migrations), options.exitCode ?? false);
        },
      ),
    );
  addMigrationOptions(command);
}

const columns: readonly Column[] = [
  {
    key: 'state',
    title: 'state',
    show: (state: string, row: StatusRow) =>
      `${row.outOfOrder ? `${state}, out of order` : state}${showUnfinished(row)}`,
    colour: colourOf,
  },
  { key: 'version', title: 'version' },
  { key: 'description', title: 'description' },
  {
    key: 'appliedAt',
    title: 'applied at',
    show: (time: string | null, row: { kind: string }) =>
      time
        ? `${time.slice(0, 19).replace('T', ' ')} UTC${row.kind === 'baseline' || row.kind === 'adopted' ? ` (${row.kind})` : ''}`
        : '',
  },
  { key: 'appliedBy', title: 'by' },
];

function showUnfinished({ unfinished }: StatusRow): string {
  if (!unfinished) return '';
  const { direction, done, begun } = unfinished;
  const stopped = begun ? `, statement ${begun.ordinal} ${begun.error ? 'failed' : 'begun'}` : '';
  return `, ${done.length} ${done.length === 1 ? 'statement' : 'statements'} ${direction === 'up' ? 'done' : 'undone'}${stopped}`;
}

function colourOf(state: string) {
  return state === 'applied'
    ? ('green' as const)
    : state === 'pending'
      ? ('yellow' as const)
      : ('red' as const);
}

function reportStatus({ rows, current, counts, afterHookDueSince }: StatusResult, strict: boolean): Report {
  const { applied, ...rest } = counts;
  const open = afterHookDueSince !== undefined || Object.values(rest).some((count) => count > 0);
  const told = Object.entries(counts).filter(
    ([state, count]) => count > 0 || state === 'applied' || state === 'pending',
  );
  return {
    columns,
    rows,
    summary: {
      current: current ?? null,
      ...counts,
      ...(afterHookDueSince === undefined ? {} : { afterHookDueSince }),
    },
    message: `${told.map(([state, count]) => `${count} ${state}`).join(', ')}; ${current === undefined ? 'no version is applied' : `the current version is ${current}`}${afterHookDueSince === undefined ? '' : `\nthe after hook is due since ${afterHookDueSince}: eduschema migrate runs it`}`,
    failing: strict && open,
  };
}
