import { type QualifiedName, quoteName, showName } from '../../../db/identifiers.ts';
import { defaultLockDeadlineSeconds } from '../../../db/lock-settings.ts';
import type { Step } from '../../../db/plan.ts';
import { createMeter } from '../../../db/progress-meter.ts';
import { describeTransactions, waitForTransactions } from '../../../db/wait-for-transactions.ts';
import type { WorkSettings } from '../../../db/work-settings.ts';
import type { Worker } from '../../../db/worker.ts';
import { EduschemaError } from '../../../errors.ts';
import { sqlstateOf } from '../sqlstate.ts';
import { compareCopy } from './compare-copy.ts';
import { copyRows, type OnCopied } from './copy-rows.ts';
import { type FoundCopy, findCopy } from './copy-state.ts';
import { type Copy, planCopyTables, planCopyTrigger } from './plan-copy.ts';
import {
  dropCopyTrigger,
  dropStep,
  planDropReplaced,
  planEmptied,
  planReplaced,
  restNotEmpty,
} from './plan-finish.ts';

/** Who does it, and whom it leaves alone. */
export interface CopyWork {
  readonly worker: Worker;
  readonly settings: WorkSettings;
  /** Our own sessions, whose transactions are not waited for. */
  readonly ownPids: readonly number[];
  readonly carryOut: (step: Step) => Promise<void>;
}

/**
 * Copies the rows that wait, while others read and write them, and puts the copy in their place in one short
 * transaction. Goes on with what an earlier run began. Nothing of it is seen before the end.
 */
export async function carryOutCopy(work: CopyWork, copy: Copy, found: FoundCopy | undefined): Promise<void> {
  const { worker, settings } = work;
  if (!found) for (const step of [...planCopyTables(copy), planCopyTrigger(copy)]) await work.carryOut(step);
  const { sql } = worker.session;
  const under = found ?? ((await findCopy(sql, copy.facts.table)) as FoundCopy);
  await copyRows(worker, copy, under.state, tellProgress(settings, showName(copy.from)));
  await compareCopy(sql, copy).catch(async (error) => {
    if (error instanceof EduschemaError) await discardCopy(work, copy, under.tables);
    throw error;
  });
  await waitForTransactions(sql, {
    except: work.ownPids,
    deadlineSeconds: settings.lockDeadlineSeconds ?? defaultLockDeadlineSeconds,
    signal: settings.signal,
    onWait: (left) =>
      settings.onProgress?.({
        type: 'log',
        message: `waiting for transactions that are older than the copy: ${describeTransactions(left)}`,
      }),
  });
  await putInPlace(work, copy);
}

const tellMs = 1000;

function tellProgress({ onProgress }: WorkSettings, relation: string): OnCopied {
  const meter = createMeter();
  const begun = performance.now();
  let told = begun;
  return (done, total) => {
    const now = performance.now();
    if (now - told < tellMs) return;
    told = now;
    const progress = { command: 'copy', relation, phase: null, done, total, unit: 'blocks' } as const;
    const seconds = Math.round((now - begun) / 100) / 10;
    onProgress?.({ type: 'progress', ...progress, ...meter(progress, now), seconds, waitingFor: [] });
  };
}

async function putInPlace(work: CopyWork, copy: Copy): Promise<void> {
  const [rest] = await work.worker.session.sql.unsafe(`SELECT FROM ${quoteName(copy.rest)} LIMIT 1`);
  try {
    if (!rest) return await work.carryOut(planEmptied(copy));
  } catch (error) {
    if (sqlstateOf(error) !== restNotEmpty) throw error;
  }
  const { fallbackLeaf, fallback } = copy.facts;
  const own = [...(fallbackLeaf?.extras ?? []), ...(fallback?.namedBy ?? [])];
  if (own.length > 0) throw cannotReplace(copy, own);
  await work.carryOut(planReplaced(copy));
  await work.carryOut(planDropReplaced(copy));
}

/** Takes away a copy: the rows of its tables are those of the default partition. */
export async function discardCopy(
  { carryOut }: CopyWork,
  copy: Copy,
  tables: readonly QualifiedName[],
): Promise<void> {
  const title = `give up the copy of ${showName(copy.from)}`;
  await carryOut({ title, transaction: true, statements: dropCopyTrigger(copy) });
  for (const name of tables)
    await carryOut(dropStep(copy, name, 'its rows are those of the default partition'));
}

function cannotReplace({ from }: Copy, own: readonly string[]): EduschemaError {
  return new EduschemaError(
    'long-lock-needed',
    `rows of other times came into ${showName(from)} meanwhile, and ${own.join(', ')} could not follow if another took its place`,
    { hint: 'move or delete these rows, and run the command again; it goes on' },
  );
}
