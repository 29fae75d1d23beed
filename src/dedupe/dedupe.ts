import type { Database } from '../db/connect.ts';
import { type QualifiedName, showName } from '../db/identifiers.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { type Worker, withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { type BatchContext, mergeBatch } from './batch.ts';
import { checkKey } from './check-key.ts';
import { type Choices, chooseFor } from './choices.ts';
import { clusterTable, findClusters } from './cluster.ts';
import { beginRun, type DedupeRun, endRuns, targetsOf, updateRun } from './journal.ts';
import { createPairs, pairsOf } from './pairs.ts';
import type { DedupeRequest } from './request.ts';
import { checkRights } from './rights.ts';
import { textSettings } from './row-sql.ts';
import { findScope, type Scope } from './scope.ts';
import { readSource } from './source.ts';
import { type Survey, takeSurvey } from './survey.ts';
import { createTally, type Tally } from './tally.ts';

/** How `dedupe` goes about it. */
export interface DedupeSettings extends WorkSettings {
  /** The journal of migrations, beside which runs are recorded. */
  readonly journal: QualifiedName;
  /** What a batch is to take, in milliseconds. */
  readonly batchMs?: number | undefined;
  /** The most duplicates in a batch of several clusters. */
  readonly batchRows?: number | undefined;
}

/** What a run has done. */
export interface DedupeResult {
  readonly scope: Scope;
  readonly choices: Choices;
  readonly survey: Survey;
  /** Undefined when there was nothing to do, and nothing was recorded. */
  readonly run: number | undefined;
  readonly tally: Tally;
  /** Duplicates that were gone or different when their turn came. */
  readonly left: number;
}

/** What would be done. */
export interface DedupePlan {
  readonly scope: Scope;
  readonly choices: Choices;
  readonly survey: Survey;
}

/** A second: what writers who want the same rows can mostly bear. */
const defaultBatchMs = 1000;
const firstRows = 500;
const mostRows = 20_000;

/** Looks for duplicates, changes nothing, and says what merging them would come to. */
export function planDedupe(
  database: Database,
  request: DedupeRequest,
  settings: DedupeSettings,
): Promise<DedupePlan> {
  return withClusters(database, request, settings, true, async (_worker, found) => found);
}

/**
 * Merges the duplicates of a table, batch by batch: what refers to them is moved to the row that stays, counters are
 * summed, and rows that go are kept whole in the log. `approve` is asked when it is known what will be done.
 * A run that was cut off is taken up by the next that asks for the same.
 */
export function dedupe(
  database: Database,
  request: DedupeRequest,
  settings: DedupeSettings,
  approve?: (plan: DedupePlan) => Promise<void>,
): Promise<DedupeResult> {
  return withClusters(database, request, settings, approve !== undefined, async (worker, plan) => {
    const { scope, choices, survey } = plan;
    if (survey.duplicates === 0) {
      await worker.transaction('record the end of the run', (sql) =>
        endRuns(sql, settings.journal, request.table, describe(request)),
      );
      return { ...plan, run: undefined, tally: createTally(), left: 0 };
    }
    await approve?.(plan);
    const { journal } = settings;
    const run = await worker.transaction(`record a run on ${showName(request.table)}`, async (sql) => {
      const wanted = {
        table: request.table,
        request: describe(request),
        targets: targetsOf(scope, choices.sums),
      };
      return beginRun(sql, journal, wanted);
    });
    const tally = createTally();
    const left = await mergeAll(worker, { journal, run, scope, choices }, survey.duplicates, settings, tally);
    await worker.transaction('record the end of the run', (sql) =>
      updateRun(sql, journal, run.run, { state: 'done' }),
    );
    return { ...plan, run: run.run, tally, left };
  });
}

async function withClusters<T>(
  database: Database,
  request: DedupeRequest,
  settings: DedupeSettings,
  thoroughly: boolean,
  use: (worker: Worker, plan: DedupePlan) => Promise<T>,
): Promise<T> {
  const { versionNumber } = database.facts;
  return withWorker(database, `duplicates of ${showName(request.table)}`, settings, async (worker) => {
    await worker.session.sql.unsafe(textSettings);
    const { sql } = worker.session;
    const scope = await findScope(sql, request, versionNumber);
    const choices = chooseFor(scope, request);
    await checkKey(sql, scope, choices);
    await checkRights(sql, scope);
    const title = `look for duplicates in ${showName(request.table)}`;
    settings.onProgress?.({ type: 'started', name: title, index: 0, total: 1 });
    const started = performance.now();
    const survey = await worker.transaction(title, async (transaction) => {
      const source =
        request.clusters === undefined ? undefined : await readSource(transaction, scope, request.clusters);
      const found = await findClusters(transaction, scope, choices, source);
      return thoroughly && found.duplicates > 0
        ? takeSurvey(transaction, scope, choices, found)
        : { ...found, children: [], biggest: [], rules: {} };
    });
    settings.onProgress?.({ type: 'done', name: title, durationMs: performance.now() - started });
    return use(worker, { scope, choices, survey });
  });
}

/** Merges all that is in the table of clusters; returns how many duplicates were left. */
async function mergeAll(
  worker: Worker,
  context: BatchContext,
  total: number,
  settings: DedupeSettings,
  tally: Tally,
): Promise<number> {
  const { scope } = context;
  const { batchMs = defaultBatchMs, batchRows = mostRows, onProgress } = settings;
  await worker.session.sql.unsafe(createPairs(scope, pairsOf(scope, 0, 0), 'DELETE ROWS'));
  const title = `merge duplicates of ${showName((scope.tables[0] as Scope['tables'][number]).name)}`;
  let rows = Math.min(firstRows, batchRows);
  let run: DedupeRun = context.run;
  let done = 0;
  onProgress?.({ type: 'started', name: title, index: 0, total: 1 });
  const began = performance.now();
  while (done < total) {
    const started = performance.now();
    const to = await endOfBatch(worker, Math.min(done + rows, total));
    const one = { batch: run.batches + 1, from: done + 1, to };
    const batch = await attempt(() =>
      worker.transaction(title, (sql) => mergeBatch(sql, { ...context, run }, one)),
    );
    tally.addAll(batch);
    run = { ...run, batches: one.batch, removed: run.removed + batch.removed };
    const took = performance.now() - started;
    rows = Math.round(Math.min(Math.max(((to - done) * batchMs) / took, rows / 2, 50), rows * 2, batchRows));
    done = to;
    const rate = (done / (performance.now() - began)) * 1000;
    onProgress?.({
      type: 'progress',
      command: null,
      relation: null,
      phase: null,
      done,
      total,
      unit: 'rows',
      seconds: Math.round((performance.now() - began) / 100) / 10,
      percent: (done / total) * 100,
      ratePerSecond: rate,
      secondsLeft: (total - done) / rate,
      waitingFor: [],
    });
  }
  onProgress?.({ type: 'done', name: title, durationMs: performance.now() - began });
  return total - tally.removed;
}

/** Whole clusters alone: the number of the last duplicate in the cluster of this one. */
async function endOfBatch({ session }: Worker, number: number): Promise<number> {
  const [found] = await session.sql.unsafe<[{ last: number }]>(
    `SELECT last::float8 AS last FROM ${clusterTable} WHERE n = ${number}`,
  );
  return found.last;
}

/** Others may remove or change children while a batch counts them: it is tried again before anybody is told. */
async function attempt<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const isRetryable = error instanceof EduschemaError && error.code === 'proof-failed' && tries < 3;
      if (!isRetryable) throw error;
    }
  }
}

const describe = ({ table: _, ...request }: DedupeRequest) => JSON.stringify(request);
