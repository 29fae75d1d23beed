import type { Sql, TransactionSql } from 'postgres';
import type { Database } from '../db/connect.ts';
import { quoteIdentifier, quoteName } from '../db/identifiers.ts';
import { seedJournal } from '../db/own-tables.ts';
import { EduschemaError } from '../errors.ts';
import { emptyLeaves } from './empty-leaves.ts';
import { findTable } from './find-table.ts';
import { readSeeds } from './folder.ts';
import { readRuns, removeRuns, type SeedPart, type SeedRun } from './journal.ts';
import { findOtherRows, type OtherRows, referencesTo } from './other-rows.ts';
import { returnKeys } from './reserve-keys.ts';
import { refuseReusedKeys } from './reused-keys.ts';
import { withSeedWorker } from './seed.ts';
import { betweenAny, type SeededTable, seededTables } from './seeded-tables.ts';
import type { SeedSettings } from './settings.ts';

/** What a reset would remove. */
export interface Seeded {
  readonly tables: readonly { readonly table: string; readonly rows: number }[];
  /** Rows that were not seeded, and go or change with those that were. */
  readonly others: readonly OtherRows[];
  /** Seeds in SQL and code, whose rows nobody knows. */
  readonly files: readonly string[];
}

export interface ResetRow {
  readonly seed: string;
  readonly table: string;
  readonly removed: number;
}

/** What is recorded as seeded, by the seeds that are named or by all, and what refers to it. */
export async function listSeeded(
  { sql }: Database,
  settings: SeedSettings,
  names: readonly string[],
): Promise<Seeded> {
  const runs = await runsOf(sql, settings, names);
  const tables = await tablesThere(sql, runs);
  await refuseReusedKeys(sql, tables);
  return {
    tables: tables
      .map(({ part, parts }) => ({
        table: part.table,
        rows: parts.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
      }))
      .filter(({ rows }) => rows > 0),
    others: await findOtherRows(sql, tables),
    files: runs.filter(({ parts }) => parts.length === 0).map(({ seed }) => seed),
  };
}

/** Removes what was seeded, each seed in one transaction, the newest tables first. What was not seeded stays. */
export async function reset(
  database: Database,
  settings: SeedSettings,
  names: readonly string[],
): Promise<readonly ResetRow[]> {
  return withSeedWorker(database, settings, async (worker, journal) => {
    const removed: ResetRow[] = [];
    const runs = (await runsOf(worker.session.sql, settings, names)).filter(({ parts }) => parts.length > 0);
    for (const seed of [...new Set(runs.map((run) => run.seed))].reverse()) {
      const own = runs.filter((run) => run.seed === seed);
      const undo = await undoOf(settings, seed);
      const rows = await worker.transaction(`remove what ${seed} wrote`, async (sql) => {
        const counts = await removeRows(sql, seed, own);
        await undo?.(sql);
        await removeRuns(sql, journal, seed);
        return counts;
      });
      removed.push(...rows);
      for (const { part } of seededTables(own))
        await worker.transaction(`analyze ${part.schema}.${part.name}`, async (sql) => {
          if (await isThere(sql, part)) await sql.unsafe(`ANALYZE ${quoteName(part)}`);
        });
    }
    return removed;
  });
}

async function runsOf(
  sql: Parameters<typeof readRuns>[0],
  settings: SeedSettings,
  names: readonly string[],
): Promise<SeedRun[]> {
  const runs = await readRuns(sql, seedJournal(settings.journal));
  const unknown = names.find((name) => !runs.some(({ seed }) => seed === name));
  if (unknown !== undefined)
    throw new EduschemaError('usage', `nothing is recorded of a seed ${unknown}`, {
      hint:
        runs.length > 0
          ? `there are: ${[...new Set(runs.map(({ seed }) => seed))].join(', ')}`
          : 'nothing is seeded',
    });
  return names.length === 0 ? runs : runs.filter(({ seed }) => names.includes(seed));
}

/** The file may be gone or broken by now; the rows go all the same. */
async function undoOf({ directory, shownDirectory }: SeedSettings, seed: string) {
  const [file] = await readSeeds(directory, shownDirectory, [seed]).catch(() => []);
  return file?.content.kind === 'module' && 'tables' in file.content.seed
    ? file.content.seed.undo
    : undefined;
}

/** Those that nobody has dropped since. */
async function tablesThere(sql: Pick<Sql, 'unsafe'>, runs: readonly SeedRun[]): Promise<SeededTable[]> {
  const tables: SeededTable[] = [];
  for (const table of seededTables(runs)) if (await isThere(sql, table.part)) tables.push(table);
  return tables;
}

async function isThere(sql: Pick<Sql, 'unsafe'>, part: SeedPart): Promise<boolean> {
  const [found] = await sql.unsafe('SELECT to_regclass($1) IS NOT NULL AS there', [quoteName(part)]);
  return found?.there === true;
}

async function removeRows(sql: TransactionSql, seed: string, runs: readonly SeedRun[]): Promise<ResetRow[]> {
  const tables = (await tablesThere(sql, runs)).reverse();
  await refuseReusedKeys(sql, tables);
  // Their locks exclude everybody, so they come first, as long as little is at stake.
  const emptied = new Map<SeededTable, number>();
  for (const table of tables) emptied.set(table, await emptyLeaves(sql, table));
  const rows: ResetRow[] = [];
  for (const table of tables.filter(({ part }) => part.kind === 'table'))
    rows.push({
      seed,
      table: table.part.table,
      removed: (emptied.get(table) ?? 0) + (await removeTable(sql, table)),
    });
  for (const table of tables.filter(({ part }) => part.kind === 'lookup'))
    rows.push({ seed, table: table.part.table, removed: await removeEntries(sql, table) });
  for (const { parts } of tables) for (const part of [...parts].reverse()) await giveBack(sql, part);
  return rows.filter(({ removed }) => removed > 0);
}

async function removeTable(sql: TransactionSql, { part, column, ranges }: SeededTable): Promise<number> {
  if (column === undefined)
    throw new EduschemaError('seed-failed', `nobody can tell which rows of ${part.table} were seeded`, {
      hint: `it has no key, and refers to no table of the seed: remove them yourself, and its row in the journal of seeds`,
    });
  if (ranges.length === 0) return 0;
  const { count } = await sql.unsafe(
    `DELETE FROM ${quoteName(part)} WHERE ${betweenAny(quoteIdentifier(column), ranges)}`,
  );
  return count;
}

/** Entries of a list that were added, but for those that somebody refers to by now. */
async function removeEntries(sql: TransactionSql, { part, parts }: SeededTable): Promise<number> {
  const added = parts.flatMap((one) => one.added);
  if (added.length === 0 || part.key === null) return 0;
  const key = quoteIdentifier(part.key);
  const inUse = (await referencesTo(sql, part)).map(
    ({ child, column }) =>
      `AND NOT EXISTS (SELECT FROM ${quoteName(child)} c WHERE c.${quoteIdentifier(column)} = t.${key})`,
  );
  const { count } = await sql.unsafe(
    `DELETE FROM ${quoteName(part)} t WHERE t.${key} IN (${added.map(BigInt).join(', ')}) ${inUse.join(' ')}`,
  );
  return count;
}

async function giveBack(
  sql: TransactionSql,
  { schema, name, key, firstKey, numbers }: SeedPart,
): Promise<void> {
  if (key === null || firstKey === null || numbers === 0) return;
  await returnKeys(sql, await findTable(sql, `${schema}.${name}`), key, BigInt(firstKey), numbers);
}
