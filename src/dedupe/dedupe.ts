import type { Database } from '../db/connect.ts';
import { type QualifiedName, showName } from '../db/identifiers.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { type Worker, withWorker } from '../db/worker.ts';
import { checkKey } from './check-key.ts';
import { type Choices, chooseFor } from './choices.ts';
import { type Circle, findCircles } from './circles.ts';
import { findClusters } from './cluster.ts';
import { beginRun, endRuns, removedBefore, targetsOf, updateRun } from './journal.ts';
import { mergeAll } from './merge-all.ts';
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
  /** Rows that refer to each other in a circle, through a row that others went into. */
  readonly circles: readonly Circle[];
}

/** What would be done. */
export interface DedupePlan {
  readonly scope: Scope;
  readonly choices: Choices;
  readonly survey: Survey;
}

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
      return { ...plan, run: undefined, tally: createTally(), left: 0, circles: [] };
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
    const circles = await findCircles(worker.session.sql, scope);
    return { ...plan, run: run.run, tally, left, circles };
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
        request.clusters === undefined
          ? undefined
          : await readSource(
              transaction,
              scope,
              request.clusters,
              await removedBefore(transaction, settings.journal, request.table, describe(request)),
            );
      const found = await findClusters(transaction, scope, choices, source);
      return thoroughly && found.duplicates > 0
        ? takeSurvey(transaction, scope, choices, found)
        : { ...found, children: [], biggest: [], rules: {} };
    });
    settings.onProgress?.({ type: 'done', name: title, durationMs: performance.now() - started });
    return use(worker, { scope, choices, survey });
  });
}

const describe = ({ table: _, ...request }: DedupeRequest) => JSON.stringify(request);
