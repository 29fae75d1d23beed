import type { TransactionSql } from 'postgres';
import type { Database } from '../db/connect.ts';
import type { QualifiedName } from '../db/identifiers.ts';
import { inTransaction } from '../db/in-transaction.ts';
import { seedJournal } from '../db/own-tables.ts';
import { EduschemaError } from '../errors.ts';
import { byAuthor } from './by-author.ts';
import { createContext, createPlace } from './context.ts';
import { decideRun, type RunWishes } from './decide-run.ts';
import type { CodeSeed, SeedContext, TableSeed } from './define-seed.ts';
import { checkColumns, findTable, type TargetTable } from './find-table.ts';
import { readSeeds, type SeedFile } from './folder.ts';
import { readRuns, type SeedRun } from './journal.ts';
import { listLeaves } from './leaves.ts';
import { findEntries } from './lookup-entries.ts';
import { makeTables } from './make-tables.ts';
import { checkGiven, type SeedOptions, wishesOf } from './options.ts';
import { writtenBy } from './plan-parts.ts';
import { findCurrentVersion, requireVersion } from './required-version.ts';
import { fixedSettings } from './session.ts';
import { type SeedSettings, searchPathOf } from './settings.ts';
import type { Lookup, Table } from './table.ts';

/** What a run would do for a table or a file. */
export interface ForeseenRow {
  readonly seed: string;
  readonly file: string;
  /** Null for a seed in SQL or code. */
  readonly table: string | null;
  /** `to seed`; `there already`, and so left; `to finish`: its rows are there, statistics and record are not. */
  readonly state: 'to seed' | 'there already' | 'to finish';
  readonly run: number;
  /** Null for a seed in SQL or code. */
  readonly rows: number | null;
  /** The times of the rows, where they decide about partitions; as they are in ISO 8601. */
  readonly from: string | null;
  readonly to: string | null;
  /** The partitions that the rows go to and that are there, as `schema.name`. */
  readonly partitions: readonly string[];
  /** Whether rows have no partition yet: the seed makes it, or fails. */
  readonly lacksPartitions: boolean;
}

/** What `seed` would do. Asks the database and changes nothing. Throws what `seed` would throw before it changes anything. */
export async function foresee(
  database: Database,
  settings: SeedSettings,
  options: SeedOptions,
): Promise<readonly ForeseenRow[]> {
  const wishes = wishesOf(options);
  const files = await readSeeds(settings.directory, settings.shownDirectory, options.only);
  checkGiven(files, wishes);
  const rows: ForeseenRow[] = [];
  for (const file of files) rows.push(...(await foreseeFile(database, settings, file, wishes)));
  return rows;
}

async function foreseeFile(
  database: Database,
  settings: SeedSettings,
  file: SeedFile,
  wishes: RunWishes,
): Promise<readonly ForeseenRow[]> {
  return inTransaction(database, 'read only', async (sql) => {
    await sql.unsafe(`${fixedSettings('LOCAL')}; ${searchPathOf(settings, 'LOCAL')}`);
    const runs = (await readRuns(sql, seedJournal(settings.journal))).filter(
      ({ seed }) => seed === file.name,
    );
    const { content } = file;
    const needed = content.kind === 'module' ? content.seed.requires : undefined;
    if (needed !== undefined) await requireVersion(sql, settings.journal, file.file, needed);
    if (content.kind === 'module' && 'tables' in content.seed)
      return foreseeTables(sql, settings.journal, file, content.seed, runs, wishes);
    const when = content.kind === 'sql' ? content.sql.when : (content.seed as CodeSeed).when;
    const always = when === 'always';
    return [{ ...emptyRow(file, null), state: runs.length > 0 && !always ? 'there already' : 'to seed' }];
  });
}

async function foreseeTables(
  sql: TransactionSql,
  journal: QualifiedName,
  file: SeedFile,
  seed: TableSeed,
  runs: readonly SeedRun[],
  wishes: RunWishes,
): Promise<readonly ForeseenRow[]> {
  const decision = byAuthor(file.file, 'parameters', () => decideRun(file.name, seed, runs, wishes));
  if (decision.action !== 'load') {
    const state = decision.action === 'nothing' ? 'there already' : 'to finish';
    return runs.flatMap(({ run, parts }) =>
      parts.map(({ table, rows, numbers }) => ({
        ...emptyRow(file, table),
        ...{ run, state, rows: rows ?? numbers },
      })),
    );
  }
  const earlier = runs.filter(({ run }) => run < decision.run);
  const current = await findCurrentVersion(sql, journal);
  const context = createContext({ ...decision, earlier });
  const rows: ForeseenRow[] = [];
  for (const made of makeTables(file.file, seed, context)) {
    const target = await findIfThere(sql, made.name);
    // What prepare() makes may have other columns than what is there.
    if (target && !seed.prepare) checkColumns(target, writtenBy(made), current);
    rows.push({
      ...emptyRow(file, made.name),
      run: decision.run,
      ...(made.kind === 'lookup'
        ? { rows: await countMissing(sql, made, target) }
        : { rows: countRows(made, context), ...(await findPartitions(sql, made, target, context)) }),
    });
  }
  return rows;
}

const emptyRow = (file: SeedFile, table: string | null): ForeseenRow => ({
  ...{ seed: file.name, file: file.file, table, state: 'to seed', run: 1, rows: null },
  ...{ from: null, to: null, partitions: [], lacksPartitions: false },
});

/** A table that the seed makes itself, in `prepare`, is not there yet. */
async function findIfThere(sql: TransactionSql, name: string): Promise<TargetTable | undefined> {
  return findTable(sql, name).catch((error) => {
    if (error instanceof EduschemaError && error.code === 'table-missing') return undefined;
    throw error;
  });
}

async function countMissing(
  sql: TransactionSql,
  list: Lookup,
  target: TargetTable | undefined,
): Promise<number> {
  if (!target) return list.values.length;
  return (await findEntries(sql, list, target)).filter((key) => key === null).length;
}

/** Beyond so many numbers, rows of which a number has several are not counted one by one. */
const mostCounted = 1_000_000;

function countRows({ name, rows, repeat }: Table, { before }: SeedContext): number {
  if (!repeat) return rows;
  const counted = Math.min(rows, mostCounted);
  let sum = 0;
  for (let number = 0; number < counted; number++) sum += repeat(before(name) + number);
  return counted === 0 ? 0 : Math.round((sum / counted) * rows);
}

/** So many rows are asked for their time; those between two of them are about there. */
const samples = 10_000;

async function findPartitions(
  sql: TransactionSql,
  made: Table,
  target: TargetTable | undefined,
  context: SeedContext,
): Promise<Partial<ForeseenRow>> {
  const column = target?.partitionColumn ?? '';
  // A time may not depend on other tables: nobody has keys yet.
  const place = createPlace(context.seed, `${made.name}.${column}`, {
    keyOf: () => () => {},
    sizeOf: () => 0,
  });
  const timeOf = made.columns[column]?.timeOf?.(place);
  if (!target?.isPartitioned || !made.direct || !timeOf || made.rows === 0) return {};
  const first = context.before(made.name);
  const count = Math.min(made.rows, samples);
  const times = Array.from({ length: count }, (_, nth) => {
    const row = first + Math.round((nth * (made.rows - 1)) / Math.max(1, count - 1));
    return timeOf(row, 0) ?? 0;
  });
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const leaves = await listLeaves(sql, target);
  const hit = leaves.filter((leaf) => times.some((time) => time >= leaf.from && time < leaf.to));
  return {
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    partitions: hit.map(({ name }) => `${name.schema}.${name.name}`),
    lacksPartitions: times.some((time) => !leaves.some((leaf) => time >= leaf.from && time < leaf.to)),
  };
}
