import { showName } from '../db/identifiers.ts';
import type { Worker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { type BatchContext, mergeBatch } from './batch.ts';
import { clusterTable } from './cluster.ts';
import type { DedupeSettings } from './dedupe.ts';
import type { DedupeRun } from './journal.ts';
import { createPairs, pairsOf } from './pairs.ts';
import type { Scope } from './scope.ts';
import type { Tally } from './tally.ts';

/** A second: what writers who want the same rows can mostly bear. */
const defaultBatchMs = 1000;
const firstRows = 500;
const mostRows = 20_000;

/**
 * Merges all that is in the table of clusters, batch by batch, and adds it to `tally`; returns how many duplicates were left. The
 * batches grow and shrink towards the time that each is to take.
 */
export async function mergeAll(
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
  let explained: ReadonlySet<number> = new Set();
  let isTrusting = true;
  onProgress?.({ type: 'started', name: title, index: 0, total: 1 });
  const began = performance.now();
  while (done < total) {
    const started = performance.now();
    const to = await endOfBatch(worker, Math.min(done + rows, total));
    const one = { batch: run.batches + 1, from: done + 1, to };
    const merged = await attempt((isAgain) => {
      if (isAgain) isTrusting = false;
      const order = { ...one, explained: isTrusting ? explained : new Set<number>() };
      return worker.transaction(title, (sql) => mergeBatch(sql, { ...context, run }, order));
    });
    tally.addAll(merged.tally);
    explained = merged.explained;
    run = { ...run, batches: one.batch, removed: run.removed + merged.tally.removed };
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

/** Others may remove or change children while a batch counts them: it is tried again, and counts all, before anybody is told. */
async function attempt<T>(work: (isAgain: boolean) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work(tries > 1);
    } catch (error) {
      const isRetryable = error instanceof EduschemaError && error.code === 'proof-failed' && tries < 3;
      if (!isRetryable) throw error;
    }
  }
}
