import type { TransactionSql } from 'postgres';
import type { Database } from '../db/connect.ts';
import { isConnectionLost } from '../db/explain-error.ts';
import { type QualifiedName, quoteLiteral, quoteName } from '../db/identifiers.ts';
import { inTransaction } from '../db/in-transaction.ts';
import { parseName } from '../db/parse-name.ts';
import type { Worker } from '../db/worker.ts';
import { analyzeTables } from './analyze.ts';
import { byAuthor } from './by-author.ts';
import { createContext } from './context.ts';
import { decideRun, type RunDecision, type RunWishes } from './decide-run.ts';
import type { SeedContext, SeedLoaded, TableSeed } from './define-seed.ts';
import { explainLoadError } from './explain-load-error.ts';
import { findTable } from './find-table.ts';
import type { SeedFile } from './folder.ts';
import { removeRuns, type SeedPart, type SeedRun, writeRun } from './journal.ts';
import { type LoadProgress, loadParts } from './load-parts.ts';
import { makeTables } from './make-tables.ts';
import { findTargets, isSamePlan, type Pair, planParts } from './plan-parts.ts';
import { returnKeys } from './reserve-keys.ts';

/** What a run of a seed of tables needs. */
export interface TableRun {
  readonly database: Database;
  readonly worker: Worker;
  readonly journal: QualifiedName;
  readonly file: SeedFile;
  readonly seed: TableSeed;
  /** The runs of this seed that are recorded. */
  readonly runs: readonly SeedRun[];
  readonly wishes: RunWishes;
  /** SQL that sets the search path, for a transaction. */
  readonly searchPath: string;
  /** The migration that the database is at. */
  readonly current: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: LoadProgress;
}

/** What became of a run: its record, and whether this command did it. */
export interface TableRunResult {
  readonly run: SeedRun;
  readonly action: RunDecision['action'];
}

/**
 * Brings a seed of tables to its end: reserves keys and records that, makes room, writes all rows in one transaction,
 * and freshens statistics. What was done before is not done again.
 */
export async function runTables(task: TableRun): Promise<TableRunResult> {
  const { worker, file, seed, runs, wishes } = task;
  const decision = byAuthor(file.file, 'parameters', () => decideRun(file.name, seed, runs, wishes));
  const recorded = runs.find(({ run }) => run === decision.run);
  if (decision.action === 'nothing' && recorded) return { run: recorded, action: 'nothing' };
  if (decision.action === 'finish' && recorded)
    return { run: await finishRun(task, recorded), action: 'finish' };

  const earlier = runs.filter(({ run }) => run < decision.run);
  const context = createContext({ ...decision, earlier, signal: task.signal });
  const made = makeTables(file.file, seed, context);
  let planned: SeedRun | undefined;
  try {
    if (seed.prepare)
      await worker.transaction(`prepare ${file.name}`, (sql) =>
        byAuthor(file.file, 'prepare', async () => seed.prepare?.(sql, context)),
      );
    const plan = await planRun(task, decision, earlier, made);
    planned = plan.run;
    const loaded = await loadRun(task, context, plan.run, plan.pairs, earlier);
    planned = undefined;
    return { run: await finishRun(task, loaded), action: 'load' };
  } catch (error) {
    // A killed run leaves its plan, and the next one keeps to it; one that failed leaves nothing.
    if (!isConnectionLost(error)) await forget(task, planned).catch(() => {});
    throw error;
  }
}

async function planRun(
  { worker, journal, file, current }: TableRun,
  { planned, ...decision }: RunDecision,
  earlier: readonly SeedRun[],
  made: ReturnType<TableSeed['tables']>,
): Promise<{ run: SeedRun; pairs: Pair[] }> {
  return worker.transaction(`plan ${file.name}`, async (sql) => {
    const pairs = await findTargets(sql, made, current);
    if (planned && isSamePlan(planned.parts, pairs)) return { run: planned, pairs };
    const run: SeedRun = {
      seed: file.name,
      run: decision.run,
      state: 'planned',
      seedNumber: decision.seedNumber,
      asOf: decision.asOf,
      values: decision.values,
      parts: await planParts(sql, pairs, earlier),
      fileChecksum: file.checksum,
      seededAt: null,
    };
    await writeRun(sql, journal, run);
    return { run, pairs };
  });
}

async function loadRun(
  { worker, journal, file, seed, signal, progress }: TableRun,
  context: SeedContext,
  run: SeedRun,
  pairs: readonly Pair[],
  earlier: readonly SeedRun[],
): Promise<SeedRun> {
  return worker.transaction(`seed ${file.name}`, async (sql) => {
    await lockTables(sql, pairs);
    const { tap } = worker.session;
    const parts = await loadParts(sql, { tap, run, pairs, earlier, signal, progress });
    await byAuthor(file.file, 'finish', async () => seed.finish?.(sql, context, loadedOf(parts)));
    const loaded: SeedRun = { ...run, state: 'loaded', parts };
    await writeRun(sql, journal, loaded);
    return loaded;
  });
}

/**
 * All locks at once and by the lock ladder, so that no later step of a long transaction fails for want of one and sends
 * it back to its beginning; after that it waits.
 */
async function lockTables(sql: TransactionSql, pairs: readonly Pair[]): Promise<void> {
  for (const { target } of pairs)
    await sql.unsafe(`LOCK TABLE ${quoteName(target.name)} IN ROW EXCLUSIVE MODE`).catch((error) => {
      throw explainLoadError(target.name, error);
    });
  await sql.unsafe('SET LOCAL lock_timeout = 0');
}

function loadedOf(parts: readonly SeedPart[]): SeedLoaded {
  return {
    keysOf(table) {
      const part = parts.find((known) => known.table === table);
      if (!part || part.firstKey === null || part.numbers === 0) return undefined;
      const first = BigInt(part.firstKey);
      return { first, last: first + BigInt(part.numbers) - 1n };
    },
  };
}

/** Statistics, outside the transaction of the rows: their locks would be one more thing for it to wait for. */
async function finishRun(task: TableRun, run: SeedRun): Promise<SeedRun> {
  const { database, worker, journal, signal } = task;
  const written = run.parts.flatMap(({ schema, name, rows }) => (rows ? [{ schema, name, rows }] : []));
  await analyzeTables(database, worker, [...written, ...(await findTriggered(task, run))], signal);
  const done: SeedRun = { ...run, state: 'done' };
  await worker.transaction(`record ${run.seed}`, (sql) => writeRun(sql, journal, done));
  return done;
}

/**
 * Takes a plan that came to nothing out of the journal, gives its keys back, and undoes what was prepared. In the
 * session that holds the turn: that of the worker is being cancelled when somebody interrupts.
 */
async function forget(
  { database, journal, seed, searchPath }: TableRun,
  plan: SeedRun | undefined,
): Promise<void> {
  await inTransaction(database, '', async (sql) => {
    await sql.unsafe(`SET LOCAL lock_timeout = '2s'; ${searchPath}`);
    for (const { schema, name, key, firstKey, numbers } of plan?.parts ?? [])
      if (key !== null && firstKey !== null)
        await returnKeys(sql, await findTable(sql, `${schema}.${name}`), key, BigInt(firstKey), numbers);
    if (plan) await removeRuns(sql, journal, plan.seed, plan.run);
    await seed.undo?.(sql);
  });
}

/** Those that are there; a name without a schema is in that of the seed's first table. */
async function findTriggered(
  { worker, seed: { triggered = [] } }: TableRun,
  { parts }: SeedRun,
): Promise<(QualifiedName & { readonly rows: number })[]> {
  const schema = parts[0]?.schema ?? 'public';
  const found = [];
  for (const name of triggered.map((text) => parseName(text, schema))) {
    const [table] = await worker.session.sql.unsafe(
      `SELECT to_regclass(${quoteLiteral(quoteName(name))}) IS NOT NULL AS there`,
    );
    if (table?.there) found.push({ ...name, rows: 0 });
  }
  return found;
}
