import type { Database } from '../../db/connect.ts';
import type { QualifiedName } from '../../db/identifiers.ts';
import { withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { underUtc } from '../catalogue.ts';
import { asideOfSplit, findSplit, finishSwap } from '../split/after-swap.ts';
import type { SplitProof } from '../split/prove-split.ts';
import { type SplitSettings, split } from '../split/split.ts';
import { type AttachSettings, attach } from './attach.ts';
import { shown } from './choices.ts';
import { findPartitioned, type PartitionedFacts } from './converted.ts';
import { finishTable, renewViews } from './finish.ts';
import { prepareConversion } from './prepare.ts';
import type { ConvertRequest } from './request.ts';
import { createSteps, type DoneStep } from './steps.ts';
import { type Verified, verifyAttached } from './verify.ts';

/** What a conversion came to. */
export interface ConvertResult extends PartitionedFacts {
  readonly table: QualifiedName;
  readonly steps: readonly DoneStep[];
  /** Milliseconds for which the table was locked; null when the swap was an earlier run's. */
  readonly lockedMs: number | null;
  /** Of a table that was split. */
  readonly split?: { readonly old: QualifiedName; readonly proof: SplitProof | undefined };
  /** Of a table that was attached, when that was asked for. */
  readonly verified?: Verified;
}

/** The turn that all of eduschema's work on the partitions of a table takes. */
export const subjectOf = ({ schema, name }: QualifiedName): string => `partitions of ${schema}.${name}`;

const mostTries = 5;
/** Twin, rehearsal, index, CHECK, proof, partitions, swap, statistics. */
const usualSteps = 8;

/**
 * Partitions a table that others write to, from wherever an earlier run left it. Throws what `prepareConversion` throws,
 * but does not look at the rows again, `table-changed` when somebody goes on changing the table, `proof-failed`, and what
 * the worker throws. What is done stays, and another run goes on.
 */
export async function convert(
  database: Database,
  request: ConvertRequest,
  settings: AttachSettings & SplitSettings,
): Promise<ConvertResult> {
  return withWorker(database, subjectOf(request.table), settings, async (worker) => {
    const steps = createSteps(settings, usualSteps);
    let lockedMs: number | null = null;
    for (let tries = 1; ; tries++) {
      const prepared = await prepareConversion(worker.session, request, { looksAtRows: false });
      if (!prepared) break;
      const result =
        prepared.choices.method === 'split'
          ? await split(worker, prepared, steps, settings)
          : await attach(worker, prepared, steps, settings);
      if (result.swapped) {
        lockedMs = Math.round(result.lockedMs);
        break;
      }
      if (tries === mostTries) throw keepsChanging(request);
      settings.onProgress?.({
        type: 'log',
        message: `somebody changed ${shown(request.table)} meanwhile: its twin is made anew`,
      });
    }
    const found = await underUtc(worker.session.sql, (sql) => findPartitioned(sql, request.table));
    for (const { name, memory } of found.converted)
      await renewViews(worker, name, memory.materializedViews, steps);
    const splitted = await findSplit(worker.session.sql, request.table, worker.session.facts.versionNumber);
    if (splitted) await renewViews(worker, splitted.old, splitted.memory.materializedViews, steps);
    const proof = splitted && (await finishSwap(worker, splitted, steps));
    await finishTable(worker, request.table, steps);
    const isCompared = request.verify && !splitted;
    const verified = isCompared ? await verifyAttached(worker, request.table, found, steps) : undefined;
    return {
      ...found,
      table: request.table,
      steps: steps.done,
      lockedMs,
      ...(splitted ? { split: { old: asideOfSplit(request.table), proof } } : {}),
      ...(verified ? { verified } : {}),
    };
  });
}

function keepsChanging({ table }: ConvertRequest): EduschemaError {
  return new EduschemaError(
    'table-changed',
    `${shown(table)} was changed ${mostTries} times while its twin was made`,
    { hint: 'run the command again when nobody changes its definition' },
  );
}
