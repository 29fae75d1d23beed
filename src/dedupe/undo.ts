import type { Sql } from 'postgres';
import type { Database } from '../db/connect.ts';
import { type QualifiedName, quoteName, showName } from '../db/identifiers.ts';
import { type Worker, withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import type { DedupeSettings } from './dedupe.ts';
import { type DedupeRun, readRuns, updateRun } from './journal.ts';
import { textSettings } from './row-sql.ts';
import { describeTable, type TableFacts } from './table-facts.ts';
import { undoBatch } from './undo-batch.ts';
import { createUndoTally, type UndoProblem, type UndoRow } from './undo-tally.ts';

/** What was put back. */
export interface UndoResult {
  readonly run: number;
  readonly table: string;
  readonly rows: readonly UndoRow[];
  /** What could not be put back, and why. */
  readonly problems: readonly UndoProblem[];
  /** The unique index of the run, which was dropped. */
  readonly index: string | null;
}

/**
 * Puts back what a run has done, the last one without a number, from its last batch on: rows that are gone, what referred to
 * them, and values of the rows that they went into; counters by the difference, so that what came since stays. What
 * was changed since is left and told. An undo that was cut off is gone on with.
 * Throws `run-missing` for a run that is none or is undone already, and `usage` while a later run stands that had to do with
 * one of its tables.
 */
export async function undoDedupe(
  database: Database,
  wanted: number | undefined,
  settings: DedupeSettings,
  approve: (question: string) => Promise<void>,
): Promise<UndoResult> {
  const { journal } = settings;
  const chosen = await chooseRun(database.sql, journal, wanted);
  const shown = showName(chosen.table);
  await approve(`Run ${chosen.run} on ${shown} is undone: ${chosen.removed} duplicates will be there again.`);
  return withWorker(database, `duplicates of ${shown}`, settings, async (worker) => {
    await worker.session.sql.unsafe(textSettings);
    // Another session may have been at it while this one waited for its turn.
    const run = await chooseRun(worker.session.sql, journal, chosen.run);
    const tables = await findTables(worker.session.sql, run, database.facts.versionNumber);
    const index = await dropIndex(worker, journal, run);
    const tally = createUndoTally(run.targets);
    await worker.transaction('begin the undo', (sql) =>
      updateRun(sql, journal, run.run, { state: 'undoing' }),
    );
    const title = `put back duplicates of ${shown}`;
    settings.onProgress?.({ type: 'started', name: title, index: 0, total: 1 });
    const started = performance.now();
    for (let batch = run.batches; batch > 0; batch--) {
      const undoOne = (atOnce: boolean) =>
        worker.transaction(title, async (sql) => {
          const one = await undoBatch(sql, { journal, run, tables }, batch, atOnce);
          await updateRun(sql, journal, run.run, { batches: batch - 1 });
          return one;
        });
      const done = await undoOne(false).catch((error: unknown) => {
        if (!isConstraint(error)) throw error;
        return undoOne(true);
      });
      tally.addAll(done);
    }
    await worker.transaction('record the undo', (sql) =>
      updateRun(sql, journal, run.run, { state: 'undone' }),
    );
    settings.onProgress?.({ type: 'done', name: title, durationMs: performance.now() - started });
    return { run: run.run, table: shown, rows: tally.rows(), problems: tally.problems(), index };
  });
}

/** Then what the earlier one has to put back can be in the log of the later one. */
function shareTable({ targets: one }: DedupeRun, { targets: other }: DedupeRun): boolean {
  const names = other.tables.map(({ name }) => showName(name));
  return one.tables.some(({ name }) => names.includes(showName(name)));
}

/** A deferred one: others are asked row by row, and stop nothing. */
const isConstraint = (error: unknown) =>
  error instanceof EduschemaError && String(error.details?.sqlstate).startsWith('23');

async function chooseRun(
  sql: Pick<Sql, 'unsafe'>,
  journal: QualifiedName,
  wanted: number | undefined,
): Promise<DedupeRun> {
  const runs = await readRuns(sql, journal);
  const standing = runs.filter(({ state }) => state !== 'undone');
  const run = wanted === undefined ? standing.at(-1) : runs.find((candidate) => candidate.run === wanted);
  const known = standing.map((one) => `${one.run} (${showName(one.table)})`).join(', ');
  if (!run)
    throw new EduschemaError(
      'run-missing',
      wanted === undefined ? 'there is no run to undo' : `there is no run ${wanted}`,
      {
        hint: known ? `runs that can be undone: ${known}` : 'dedupe has merged nothing, or all is undone',
      },
    );
  if (run.state === 'undone')
    throw new EduschemaError('run-missing', `run ${run.run} on ${showName(run.table)} is undone already`, {
      hint: known ? `runs that can be undone: ${known}` : 'nothing else can be undone',
    });
  const later = standing.find((one) => one.run > run.run && shareTable(one, run));
  if (later)
    throw new EduschemaError(
      'usage',
      `run ${later.run} on ${showName(later.table)} came after run ${run.run} on ${showName(run.table)}, and changed rows of the same tables`,
      {
        hint: `undo it first: eduschema dedupe undo ${later.run}`,
      },
    );
  return run;
}

/** It would keep out what comes back. */
async function dropIndex(
  worker: Worker,
  journal: QualifiedName,
  { run, enforced, table }: DedupeRun,
): Promise<string | null> {
  if (enforced === null) return null;
  const index = { schema: table.schema, name: enforced };
  const [found] = await worker.session.sql.unsafe(`SELECT to_regclass($1) IS NOT NULL AS there`, [
    quoteName(index),
  ]);
  await worker.alone(`drop ${showName(index)}`, `DROP INDEX CONCURRENTLY IF EXISTS ${quoteName(index)}`);
  await worker.transaction('record that the index is gone', (sql) =>
    updateRun(sql, journal, run, { enforced: null }),
  );
  return found?.there ? showName(index) : null;
}

/**
 * The tables of the run as they are now; undefined for one that is gone. Throws `table-unsuitable` when the rows that were
 * merged cannot be told apart any more.
 */
async function findTables(
  sql: Pick<Sql, 'unsafe'>,
  { run, table, targets }: DedupeRun,
  version: number,
): Promise<(TableFacts | undefined)[]> {
  const tables: (TableFacts | undefined)[] = [];
  for (const { name } of targets.tables) {
    const [found] = await sql.unsafe<{ oid: number | null }[]>(`SELECT to_regclass($1)::oid AS oid`, [
      quoteName(name),
    ]);
    tables.push(found?.oid ? await describeTable(sql, found.oid, version) : undefined);
  }
  const [root] = tables;
  const missing = targets.tables[0]?.key?.find(
    (column) => !root?.columns.some(({ name }) => name === column),
  );
  if (root && missing !== undefined)
    throw new EduschemaError(
      'table-unsuitable',
      `${showName(table)} has no column ${missing} any more, by which run ${run} knows its rows`,
      { hint: 'give the column its name back; nothing was changed' },
    );
  return tables;
}
