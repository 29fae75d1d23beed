import { type Command, InvalidArgumentError, Option } from 'commander';
import type { QualifiedName } from '../../../db/identifiers.ts';
import { defaultLockTimeout } from '../../../db/lock-settings.ts';
import { millisecondsOf } from '../../../db/milliseconds.ts';
import { parseName } from '../../../db/parse-name.ts';
import { renderPlan as renderSteps } from '../../../db/plan.ts';
import { EduschemaError } from '../../../errors.ts';
import { countOf, showDuration } from '../../../output/duration.ts';
import type { Report } from '../../../output/report.ts';
import type { ConvertResult } from '../../../partitions/convert/convert.ts';
import type { Prepared } from '../../../partitions/convert/prepare.ts';
import type { Verified } from '../../../partitions/convert/verify.ts';
import { type Unit, units } from '../../../partitions/period.ts';
import type { SplitProof } from '../../../partitions/split/prove-split.ts';
import { confirm } from '../../confirm.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions, type CommonOptions, parseTime } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends CommonOptions {
  readonly by?: string;
  readonly method?: 'attach' | 'split';
  readonly unit?: Unit;
  readonly zone?: string;
  readonly ahead?: string;
  readonly from?: string;
  readonly widen?: string[];
  readonly dropIncomingFk?: string[];
  readonly pause?: string;
  readonly verify?: boolean;
  readonly finish?: boolean;
  readonly dryRun?: boolean;
}

/** `eduschema partitions convert` */
export function partitionsConvertCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('convert <table>')
    .description('partition a table that is in use; asks first')
    .option('--by <column>', 'date, timestamp or timestamptz column to partition by')
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
    .option(
      '--pause <time>',
      'split: rest between batches, so that others have the disk (default: 0)',
      parseTime,
    )
    .option(
      '--verify',
      'attach: count and compare the rows of each period, in the old table and through the new one; reads them twice',
    )
    .option('--finish', 'after a split: drop the old table; from then on there is no undo')
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .option('-y, --yes', 'do not ask')
    .action(runner.database(load, convertTable));
  addWorkOptions(command);
}

async function load() {
  const [preparing, planning, notices, converting, splitPlan, finishing] = await Promise.all([
    import('../../../partitions/convert/prepare.ts'),
    import('../../../partitions/convert/conversion-plan.ts'),
    import('../../../partitions/convert/notices.ts'),
    import('../../../partitions/convert/convert.ts'),
    import('../../../partitions/split/split-plan.ts'),
    import('../../../partitions/split/finish-split.ts'),
  ]);
  return { ...preparing, ...planning, ...notices, ...converting, ...splitPlan, ...finishing };
}

type Room = Awaited<ReturnType<typeof load>>;

async function convertTable(room: Room, context: DatabaseContext<Options>, name = ''): Promise<Report> {
  const { database, options, settings } = context;
  const table = parseName(name, settings.migrations.schema);
  if (options.finish) return finish(room, context, table);
  const { dropIncomingFk: dropIncoming, by, ...rest } = options;
  if (by === undefined)
    throw new EduschemaError('usage', 'convert needs the column to partition by', {
      hint: 'add --by <column>',
    });
  const request = { ...rest, by, dropIncoming, table };
  const prepared = await room.prepareConversion(database, request);
  if (options.dryRun) {
    const lockTimeout = settings.migrations.lockTimeout ?? defaultLockTimeout;
    return { rows: [], summary: {}, text: await renderPlan(room, context, prepared, lockTimeout) };
  }
  if (prepared) await ask(room, context, prepared);
  const pauseMs = options.pause === undefined ? 0 : millisecondsOf(options.pause, 'pause');
  return reportConversion(await room.convert(database, request, { ...watchMigrations(context), pauseMs }));
}

async function renderPlan(
  room: Room,
  { database }: DatabaseContext<Options>,
  prepared: Prepared | undefined,
  lockTimeout: string,
): Promise<string> {
  if (!prepared) return '-- nothing to do\n';
  return prepared.choices.method === 'split'
    ? room.renderSplit(database.sql, prepared, lockTimeout)
    : room.renderConversion(database.sql, prepared, lockTimeout);
}

/** Ends a split for good. */
async function finish(room: Room, context: DatabaseContext<Options>, table: QualifiedName): Promise<Report> {
  const { database, options, settings } = context;
  const found = await room.prepareFinish(database, table);
  if (options.dryRun) {
    const lockTimeout = settings.migrations.lockTimeout ?? defaultLockTimeout;
    return { rows: [], summary: {}, text: renderSteps(room.planFinish(found), lockTimeout) };
  }
  const [name, old] = [`${table.schema}.${table.name}`, found.old.name];
  await confirm(context, `${old} will be dropped; ${name} cannot be made what it was after that.`);
  const { steps } = await room.finishSplit(database, table, watchMigrations(context));
  return {
    columns: stepColumns,
    rows: steps,
    summary: { table: name, dropped: old },
    message: `${old} is gone; ${name} is in partitions for good`,
  };
}

/** Shows what changes for others, and asks. */
async function ask(
  { listNotices, listCopyNotices }: Room,
  context: DatabaseContext<Options>,
  prepared: Prepared,
): Promise<void> {
  const { table, choices } = prepared;
  const copying = choices.method === 'split' ? listCopyNotices(prepared) : [];
  for (const notice of [...listNotices(table, choices), ...copying]) context.progress.say(notice);
  const { unit } = choices.policy;
  await confirm(
    context,
    `${table.schema}.${table.name} will be partitioned by ${choices.column}, a ${unit} each from ${choices.end} on.`,
  );
}

const stepColumns = [
  { key: 'title', title: 'step' },
  { key: 'durationMs', title: 'time', align: 'right', show: showDuration },
] as const;

function reportConversion(result: ConvertResult): Report {
  if (result.split?.proof) return reportSplit(result, result.split.proof);
  const { table, steps, converted, lockedMs, partitions } = result;
  const name = `${table.schema}.${table.name}`;
  if (result.verified) return reportVerified(result, result.verified);
  const [first] = converted;
  const where = first
    ? `; its rows stay in ${first.name.name}, in the file that they were in (${first.fileNode})`
    : '';
  return {
    columns: stepColumns,
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
        : `${name} is partitioned, with ${countOf(partitions, 'partition')}${where}${lockedFor(lockedMs)}`,
  };
}

const lockedFor = (lockedMs: number | null) =>
  lockedMs === null ? '' : `; it was locked for ${lockedMs} ms`;

/** What was compared is what a person asked for; the steps were told as they were done. */
function reportVerified(
  { table, partitions, lockedMs, steps, converted }: ConvertResult,
  { partition, periods }: Verified,
): Report {
  const name = `${table.schema}.${table.name}`;
  const rows = periods.map(({ day, rows: [before, now], checksums: [was, is], equal }) => ({
    partition: partition.name,
    from: day,
    rowsBefore: before,
    rows: now,
    checksumBefore: was,
    checksum: is,
    equal,
  }));
  const count = rows.reduce((sum, row) => sum + row.rows, 0);
  const [first] = converted;
  return {
    columns: [
      { key: 'from', title: 'from' },
      { key: 'rowsBefore', title: `rows in ${partition.name}`, align: 'right' },
      { key: 'rows', title: `rows in ${table.name}`, align: 'right' },
      { key: 'checksum', title: 'checksum of both' },
    ],
    rows,
    summary: {
      table: name,
      old: partition.name,
      partitions,
      rows: count,
      fileNode: first?.fileNode,
      fileNodeBefore: first?.memory.fileNode,
      lockedMs,
      steps,
    },
    message: `${name} is partitioned, with ${countOf(partitions, 'partition')}: ${count.toLocaleString('en')} rows in ${partition.name}, the same through ${name}${lockedFor(lockedMs)}`,
  };
}

/** The proof is what a person wants to see; the steps were told as they were done. */
function reportSplit(
  { table, partitions, lockedMs, steps, split }: ConvertResult,
  { periods, noted }: SplitProof,
): Report {
  const name = `${table.schema}.${table.name}`;
  const old = split?.old.name ?? '';
  const count = periods.reduce((sum, { rows: [, now] }) => sum + now, 0);
  const rows = periods.map(({ partition, from, rows: [before, now], checksums: [was, is], equal }) => ({
    partition,
    from,
    rowsBefore: before,
    rows: now,
    checksumBefore: was,
    checksum: is,
    equal,
  }));
  const late = noted === 0 ? '' : `; ${countOf(noted, 'change')} that came since are noted`;
  return {
    columns: [
      { key: 'partition', title: 'partition' },
      { key: 'rowsBefore', title: `rows in ${old}`, align: 'right' },
      { key: 'rows', title: `rows in ${table.name}`, align: 'right' },
      { key: 'checksum', title: 'checksum of both' },
    ],
    rows,
    summary: { table: name, old, partitions, rows: count, noted, lockedMs, steps },
    message: `${name} is partitioned, with ${countOf(partitions, 'partition')}: ${count.toLocaleString('en')} rows, the same in both${late}${lockedFor(lockedMs)}
${old} stays until you say so: eduschema partitions convert ${name} --finish, or undo`,
  };
}

function parseUnit(text: string): Unit {
  const found = units.find((unit) => unit === text);
  if (found) return found;
  throw new InvalidArgumentError(`It must be one of ${units.join(', ')}.`);
}

const collect = (text: string, before: string[] = []) => [...before, text];
