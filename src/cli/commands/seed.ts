import type { Command } from 'commander';
import { countOf, showDuration } from '../../output/duration.ts';
import type { Column, Report } from '../../output/report.ts';
import type { SeedResult, SeedRow } from '../../seed/seed.ts';
import { confirm } from '../confirm.ts';
import { watchMigrations } from '../migration-report.ts';
import { addWorkOptions, collectSetting, parseWhole } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';
import { reportForeseen } from './seed/dry-run.ts';
import { givenBy, type SeedCommandOptions } from './seed/options.ts';
import { resetSeeds } from './seed/reset.ts';

/** `eduschema seed` */
export function seedCommand(program: Command, runner: Runner): void {
  const command = program
    .command('seed [names...]')
    .description('fill the database from seeds/: the same rows each time, as many as asked')
    .option('--materials <count>', 'education: how many materials (default: 10000)')
    .option('--downloads <count>', 'education: how many downloads (default: 50000)')
    .option('--views <count>', 'education: how many views (default: six for each download)')
    .option('--days <count>', 'education: over how many days the logs reach back (default: 90)')
    .option('--dirty <share>', 'education: make a share of the materials duplicates, as in 3%, and old tags')
    .option('--set <name=value>', 'a parameter of a seed', collectSetting)
    .option('--as-of <date>', 'the day before which all happened (default: today, in Seoul)')
    .option('--seed <number>', 'other rows of the same kind (default: 1)', parseWhole)
    .option('--append', 'add to what was seeded')
    .option('--reset', 'remove what was seeded, and nothing else')
    .option('-n, --dry-run', 'show what would be written, or removed: tables, rows, times, partitions')
    .option('--seeds <folder>', 'folder of seeds (default: seeds)')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(
        () => import('../../seed/seed.ts'),
        async ({ seed }, context: DatabaseContext<SeedCommandOptions>, ...names) => {
          const { options, settings, database } = context;
          const work = { ...watchMigrations(context), ...settings.seeds };
          if (options.reset) return resetSeeds(context, work, names);
          const wishes = {
            only: names,
            given: givenBy(options),
            seedNumber: options.seed,
            asOf: options.asOf,
            append: options.append,
            now: Date.now(),
          };
          if (options.dryRun) {
            const { foresee } = await import('../../seed/foresee.ts');
            return reportForeseen(await foresee(database, work, wishes));
          }
          if (settings.env.NODE_ENV === 'production')
            await confirm(context, `This adds made-up rows to ${database.facts.database}, in production.`);
          return reportSeeds(await seed(database, work, wishes));
        },
      ),
    );
  addWorkOptions(command);
}

const columns: readonly Column[] = [
  { key: 'table', title: 'table', show: (table: string | null, row: SeedRow) => table ?? row.file },
  {
    key: 'rows',
    title: 'rows',
    align: 'right',
    show: (rows: number | null) => rows?.toLocaleString('en') ?? '',
  },
  { key: 'durationMs', title: 'time', align: 'right', show: showDuration },
  {
    key: 'durationMs',
    title: 'rows/s',
    align: 'right',
    show: (durationMs: number | null, { rows }: SeedRow) =>
      durationMs && rows ? Math.round((rows / durationMs) * 1000).toLocaleString('en') : '',
  },
  { key: 'checksum', title: 'checksum', show: (checksum: string | null) => checksum?.slice(0, 16) ?? '' },
];

function reportSeeds({ rows, runs, edited, durationMs }: SeedResult): Report {
  const fresh = rows.filter(({ state }) => state === 'seeded');
  const seeded = fresh.reduce((sum, row) => sum + (row.rows ?? 0), 0);
  const made = runs.map(
    ({ seed, run, seedNumber, asOf }) =>
      `${seed}${run > 1 ? ` (run ${run})` : ''}: seed ${seedNumber}, as of ${showAsOf(asOf)}`,
  );
  const done =
    fresh.length === 0
      ? 'nothing to do: all seeds are there already'
      : `${countOf(seeded, 'row').replace(/^\d+/, seeded.toLocaleString('en'))} in ${showDuration(durationMs)}`;
  return {
    columns,
    rows,
    summary: { seeded, durationMs, runs },
    message: [...made, done].join('\n'),
    warnings: edited.map((file) => `${file} was edited since it ran; it runs once, and is not run again`),
  };
}

/** The day, when it is a midnight in Seoul. */
function showAsOf(asOf: string): string {
  const local = new Date(Date.parse(asOf) + 9 * 3_600_000).toISOString();
  return local.endsWith('T00:00:00.000Z') ? local.slice(0, 10) : asOf;
}
