import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { parseName } from '../../db/parse-name.ts';
import type { DedupePlan, DedupeSettings } from '../../dedupe/dedupe.ts';
import type { DedupeRequest } from '../../dedupe/request.ts';
import { EduschemaError } from '../../errors.ts';
import { countOf } from '../../output/duration.ts';
import type { Report } from '../../output/report.ts';
import { confirm } from '../confirm.ts';
import { reportDedupe, reportDedupePlan, reportSimilar } from '../dedupe-report.ts';
import { watchMigrations } from '../migration-report.ts';
import { addWorkOptions, type CommonOptions, parseCount } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';
import { dedupeUndoCommand } from './dedupe/undo.ts';

interface Options extends CommonOptions {
  readonly key?: string[];
  readonly keep?: string;
  readonly match?: string;
  readonly sum?: string[];
  readonly fill?: string | true;
  readonly reference?: string[];
  readonly ignoreReference?: string[];
  readonly similar?: string;
  readonly clusters?: string;
  readonly enforce?: boolean;
  readonly batchRows?: number;
  readonly dryRun?: boolean;
}

/** `eduschema dedupe` and `dedupe undo` */
export function dedupeCommand(program: Command, runner: Runner): void {
  const command = program
    .command('dedupe')
    .description('duplicates merged into one row: what refers to them is moved, nothing is lost; asks first')
    .argument('[table]', 'table with duplicates', 'materials')
    .option(
      '--key <columns>',
      'columns by which rows are duplicates, with commas between (default: title,file_name of materials)',
      collectNames,
    )
    .option(
      '--keep <which>',
      'row that stays: oldest, newest, most-referenced, or what ORDER BY takes (default: oldest)',
    )
    .option(
      '--match <how>',
      'exact, normalized, or some of nfc, width, nfkc, case, space with commas between (default: exact)',
    )
    .option(
      '--sum <columns>',
      'counters to sum, also table.column of tables that refer to it (default: download_count, view_count; none)',
      collectNames,
    )
    .option(
      '--fill [columns]',
      'take from the duplicates what the row that stays has not (default: all columns)',
    )
    .option('--reference <table.column>', 'this column refers to the table, without a foreign key', collect)
    .option('--ignore-reference <table.column>', 'this column does not, whatever it is called', collect)
    .option('--similar <share>', 'propose rows that are alike, from 0 to 1, and merge nothing')
    .option('--clusters <file>', 'merge what this file says: JSON, as --similar prints it')
    .option('--enforce', 'add a unique index afterwards, which keeps duplicates out')
    .option('--batch-rows <count>', 'the most duplicates in a transaction (default: 20000)', parseCount)
    .option('-n, --dry-run', 'show what would be merged, change nothing')
    .option('-y, --yes', 'do not ask')
    .action(runner.database(load, dedupeTable));
  addWorkOptions(command);
  dedupeUndoCommand(command, runner);
}

async function load() {
  const [deduping, enforcing, alike] = await Promise.all([
    import('../../dedupe/dedupe.ts'),
    import('../../dedupe/enforce.ts'),
    import('../../dedupe/similar.ts'),
  ]);
  return { ...deduping, ...enforcing, ...alike };
}

async function dedupeTable(
  { planDedupe, dedupe, dedupeAndEnforce, findSimilar }: Awaited<ReturnType<typeof load>>,
  context: DatabaseContext<Options>,
  name = 'materials',
): Promise<Report> {
  const { database, options } = context;
  const request = await requestOf(context, name);
  const settings: DedupeSettings = { ...watchMigrations(context), batchRows: options.batchRows };
  if (options.similar !== undefined)
    return reportSimilar(await findSimilar(database, request, shareOf(options.similar), settings));
  if (options.dryRun) return reportDedupePlan(await planDedupe(database, request, settings));
  const approve = options.yes ? undefined : (plan: DedupePlan) => confirm(context, questionOf(plan));
  return options.enforce
    ? reportDedupe(await dedupeAndEnforce(database, request, settings, approve))
    : reportDedupe(await dedupe(database, request, settings, approve));
}

async function requestOf(
  { options, settings, world }: DatabaseContext<Options>,
  name: string,
): Promise<DedupeRequest> {
  const { clusters, fill, sum } = options;
  if (clusters !== undefined && (options.key || options.match || options.enforce))
    throw new EduschemaError(
      'usage',
      '--clusters says what is the same, and goes without --key, --match and --enforce',
    );
  return {
    table: parseName(name, settings.migrations.schema),
    key: options.key,
    keep: options.keep,
    match: options.match,
    sum: sum?.length === 1 && sum[0] === 'none' ? [] : sum,
    fill: typeof fill === 'string' ? collectNames(fill) : fill,
    references: options.reference,
    ignoreReferences: options.ignoreReference,
    clusters: clusters === undefined ? undefined : await readText(resolve(world.cwd, clusters)),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new EduschemaError('file-unreadable', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function shareOf(text: string): number {
  const share = Number(text);
  if (text.trim() !== '' && share > 0 && share <= 1) return share;
  throw new EduschemaError('usage', `--similar is "${text}"`, {
    hint: 'write a share above 0, 1 at the most, as in 0.9',
  });
}

function questionOf({ survey }: DedupePlan): string {
  const children = survey.children.reduce((sum, { rows }) => sum + rows, 0);
  return `${countOf(survey.duplicates, 'duplicate')} of ${countOf(survey.clusters, 'row')} will be merged into them, and ${countOf(children, 'row')} that refer to them moved.`;
}

const collect = (text: string, before: string[] = []) => [...before, text];

const collectNames = (text: string, before: string[] = []) => [
  ...before,
  ...text
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean),
];
