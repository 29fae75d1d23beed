import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { Target } from '../../db/target.ts';
import { EduschemaError } from '../../errors.ts';
import type { MigrationSettings } from '../../migrations/settings.ts';
import { countOf, showDuration } from '../../output/duration.ts';
import type { Column, Report } from '../../output/report.ts';
import type { Seeding } from '../../testdb/seeding.ts';
import type { ClonesMade } from '../../testdb/testdb.ts';
import { watchMigrations } from '../migration-report.ts';
import {
  addMigrationOptions,
  type CommonOptions,
  collectSetting,
  parseCount,
  parseWhole,
} from '../options.ts';
import type { LocalContext, LocalTask, Runner } from '../run.ts';

interface CloneOptions extends CommonOptions {
  readonly seed?: number | true;
  readonly set?: Readonly<Record<string, string>>;
  readonly asOf?: string;
}

interface PruneOptions extends CommonOptions {
  readonly older?: number;
  readonly templates?: number;
}

/** `eduschema testdb` */
export function testdbCommand(program: Command, runner: Runner): void {
  const testdb = program
    .command('testdb')
    .description('clean, migrated databases for tests, in milliseconds');
  const add = <Options extends CommonOptions>(name: string, description: string, task: LocalTask<Options>) =>
    addMigrationOptions(testdb.command(name).description(description).action(runner.local(task)));

  addSeedOptions(
    add<CloneOptions>('create', 'make one, and print its URL', (context) => clone(context, '1')),
  );
  addSeedOptions(add<CloneOptions>('clone <count>', 'make several, and print their URLs', clone));
  add('list', 'those that there are, and the templates behind them', list);
  add('drop <database...>', 'drop some, by name or URL', drop);
  add<PruneOptions>('prune', 'drop what nobody needs any more', prune)
    .option('--older <time>', 'test databases without sessions, from this age on (default: 1d)', parseAge)
    .option('--templates <time>', 'templates that were not cloned for so long (default: 7d)', parseAge);
}

function addSeedOptions(command: Command): Command {
  return command
    .option('--seed [number]', 'filled from seeds/ (default: nothing; 1)', parseWhole)
    .option('--set <name=value>', 'with --seed: a parameter of a seed', collectSetting)
    .option('--as-of <date>', 'with --seed: the day before which all happened (default: today, in Seoul)')
    .option('--seeds <folder>', 'folder of seeds (default: seeds)');
}

/** The server for test databases; the embedded one is kept running, as the databases are used after the command. */
async function findServer(context: LocalContext<CommonOptions>): Promise<Target> {
  const { findTarget } = await import('../open-database.ts');
  const target = findTarget(context);
  if (target) return target;
  const { startEmbedded } = await import('../../db/embedded/server.ts');
  const { world, progress } = context;
  const server = await startEmbedded({
    folder: join(world.cwd, '.eduschema'),
    onProgress: (text) => progress.work(text),
  });
  progress.rest();
  progress.say(
    `using the embedded PostgreSQL ${server.version} in .eduschema/, which runs until eduschema db stop`,
  );
  return server.target;
}

async function clone(context: LocalContext<CloneOptions>, count = '1'): Promise<Report> {
  const number = parseNumber(count);
  const migrations = watchMigrations(context);
  const seeding = await seedingFor(context, migrations);
  const target = await findServer(context);
  const { createClones } = await import('../../testdb/testdb.ts');
  return reportClones(await createClones(target, migrations, number, seeding));
}

async function seedingFor(
  { options, settings }: LocalContext<CloneOptions>,
  work: MigrationSettings,
): Promise<Seeding | undefined> {
  const { seed, set, asOf } = options;
  if (seed === undefined) {
    if (set === undefined && asOf === undefined) return undefined;
    throw new EduschemaError('usage', `${set ? '--set' : '--as-of'} goes with --seed`, {
      hint: 'write --seed as well, or leave it out',
    });
  }
  const { seedingOf } = await import('../../testdb/seeding.ts');
  return seedingOf(
    { ...work, ...settings.seeds },
    { given: set ?? {}, seedNumber: seed === true ? undefined : seed, asOf, now: Date.now() },
  );
}

function parseNumber(text: string): number {
  try {
    return parseCount(text);
  } catch {
    throw new EduschemaError('usage', `"${text}" is no number of databases`, {
      hint: 'write it as a whole number above 0: eduschema testdb clone 4',
    });
  }
}

function reportClones({ databases, template, built }: ClonesMade): Report {
  return {
    rows: databases,
    summary: { made: databases.length, template, built },
    message: databases.map(({ url }) => url).join('\n'),
  };
}

const columns: readonly Column[] = [
  { key: 'name', title: 'database' },
  { key: 'kind', title: 'kind' },
  { key: 'owner', title: 'owner' },
  {
    key: 'ageSeconds',
    title: 'unused for',
    align: 'right',
    show: (seconds: number) => showDuration(seconds * 1000),
  },
  { key: 'sessions', title: 'sessions', align: 'right' },
];

async function list(context: LocalContext<CommonOptions>): Promise<Report> {
  const target = await findServer(context);
  const { listOnServer } = await import('../../testdb/testdb.ts');
  const rows = await listOnServer(target);
  return {
    columns,
    rows,
    summary: { databases: rows.length },
    message: rows.length === 0 ? 'no test databases; make one: eduschema testdb create' : undefined,
  };
}

async function drop(context: LocalContext<CommonOptions>, ...databases: string[]): Promise<Report> {
  const target = await findServer(context);
  const { dropClones } = await import('../../testdb/testdb.ts');
  const names = await dropClones(target, await Promise.all(databases.map(nameOf)));
  return {
    rows: names.map((name) => ({ name })),
    summary: { dropped: names.length },
    message: `${countOf(names.length, 'database')} dropped`,
  };
}

/** The database's name, from a URL as `create` prints it, or as it is. */
async function nameOf(text: string): Promise<string> {
  if (!/^postgres(ql)?:\/\//.test(text)) return text;
  const { parseConnectionUrl } = await import('../../db/connection-url.ts');
  return parseConnectionUrl(text, 'the URL of the database').dbname ?? '';
}

async function prune(context: LocalContext<PruneOptions>): Promise<Report> {
  const { older, templates } = context.options;
  const { warnings } = context;
  const target = await findServer(context);
  const { pruneServer } = await import('../../testdb/prune.ts');
  const onLeft = (name: string, reason: string) => warnings.push(`${name} stays: ${reason}`);
  const rows = await pruneServer(target, { clonesAfter: older, templatesAfter: templates, onLeft });
  return {
    columns,
    rows,
    summary: { dropped: rows.length },
    message: rows.length === 0 ? 'nothing to prune' : `${countOf(rows.length, 'database')} dropped`,
  };
}

/** Seconds, from `90s`, `30min`, `12h`, `7d`; `0` is any age. */
function parseAge(text: string): number {
  const [, digits, unit = 's'] = /^(\d+)(s|min|h|d)?$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('It must be an age: 90s, 30min, 12h or 7d.');
  return Number(digits) * ({ s: 1, min: 60, h: 3600, d: 86_400 }[unit] as number);
}
