import { type Command, InvalidArgumentError, Option } from 'commander';
import { defaultLockTimeout } from '../../../db/lock-settings.ts';
import { parseName } from '../../../db/parse-name.ts';
import { countOf, showDuration } from '../../../output/duration.ts';
import type { Report } from '../../../output/report.ts';
import type { ConvertResult } from '../../../partitions/convert/convert.ts';
import type { Prepared } from '../../../partitions/convert/prepare.ts';
import { type Unit, units } from '../../../partitions/period.ts';
import { confirm } from '../../confirm.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions, type CommonOptions } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends CommonOptions {
  readonly by: string;
  readonly method?: 'attach' | 'split';
  readonly unit?: Unit;
  readonly zone?: string;
  readonly ahead?: string;
  readonly from?: string;
  readonly widen?: string[];
  readonly dropIncomingFk?: string[];
  readonly dryRun?: boolean;
}

/** `eduschema partitions convert` */
export function partitionsConvertCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('convert <table>')
    .description('partition a table that is in use; asks first')
    .requiredOption('--by <column>', 'date, timestamp or timestamptz column to partition by')
    .addOption(
      new Option(
        '--method <method>',
        'attach: the old table becomes the first partition (default); split: rows are copied, a partition a period',
      ).choices(['attach', 'split']),
    )
    .option('--unit <unit>', 'day, week, month, quarter or year (default: month)', parseUnit)
    .option('--zone <zone>', 'time zone in which a period begins (default: Asia/Seoul)')
    .option('--ahead <length>', 'how far ahead partitions are made (default: 3mo)')
    .option('--from <day>', 'where the first partition ends (default: the first period in a week or later)')
    .option(
      '--widen <name>',
      'this unique constraint or index may be unique together with the column alone',
      collect,
    )
    .option('--drop-incoming-fk <name>', 'this foreign key of another table may be dropped', collect)
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .option('-y, --yes', 'do not ask')
    .action(runner.database(load, convertTable));
  addWorkOptions(command);
}

async function load() {
  const [preparing, planning, notices, converting] = await Promise.all([
    import('../../../partitions/convert/prepare.ts'),
    import('../../../partitions/convert/conversion-plan.ts'),
    import('../../../partitions/convert/notices.ts'),
    import('../../../partitions/convert/convert.ts'),
  ]);
  return { ...preparing, ...planning, ...notices, ...converting };
}

async function convertTable(
  room: Awaited<ReturnType<typeof load>>,
  context: DatabaseContext<Options>,
  name = '',
): Promise<Report> {
  const { database, options, settings } = context;
  const { dropIncomingFk: dropIncoming, ...rest } = options;
  const request = { ...rest, dropIncoming, table: parseName(name, settings.migrations.schema) };
  const prepared = await room.prepareConversion(database, request);
  if (options.dryRun) {
    const text = prepared
      ? room.renderConversion(prepared, settings.migrations.lockTimeout ?? defaultLockTimeout)
      : '-- nothing to do\n';
    return { rows: [], summary: {}, text };
  }
  if (prepared) await ask(room, context, prepared);
  return reportConversion(await room.convert(database, request, watchMigrations(context)));
}

/** Shows what changes for others, and asks. */
async function ask(
  { listNotices }: Awaited<ReturnType<typeof load>>,
  context: DatabaseContext<Options>,
  { table, choices }: Prepared,
): Promise<void> {
  for (const notice of listNotices(table, choices)) context.progress.say(notice);
  const { unit } = choices.policy;
  await confirm(
    context,
    `${table.schema}.${table.name} will be partitioned by ${choices.column}, a ${unit} each from ${choices.end} on.`,
  );
}

function reportConversion({ table, steps, converted, lockedMs, partitions }: ConvertResult): Report {
  const name = `${table.schema}.${table.name}`;
  const [first] = converted;
  const where = first
    ? `; its rows stay in ${first.name.name}, in the file that they were in (${first.fileNode})`
    : '';
  const locked = lockedMs === null ? '' : `; it was locked for ${lockedMs} ms`;
  return {
    columns: [
      { key: 'title', title: 'step' },
      { key: 'durationMs', title: 'time', align: 'right', show: showDuration },
    ],
    rows: steps,
    summary: {
      table: name,
      partitions,
      lockedMs,
      first: first
        ? { ...first.name, fileNode: first.fileNode, fileNodeBefore: first.memory.fileNode }
        : null,
    },
    message:
      steps.length === 0
        ? `nothing to do: ${name} is partitioned, with ${countOf(partitions, 'partition')}`
        : `${name} is partitioned, with ${countOf(partitions, 'partition')}${where}${locked}`,
  };
}

function parseUnit(text: string): Unit {
  const found = units.find((unit) => unit === text);
  if (found) return found;
  throw new InvalidArgumentError(`It must be one of ${units.join(', ')}.`);
}

const collect = (text: string, before: string[] = []) => [...before, text];
