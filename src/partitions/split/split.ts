import type { QualifiedName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { shown } from '../convert/choices.ts';
import { twinOf } from '../convert/names.ts';
import type { Prepared } from '../convert/prepare.ts';
import type { Steps } from '../convert/steps.ts';
import { type BackfillSettings, backfill } from './backfill.ts';
import { madeOf } from './bare.ts';
import { createCopyProgress } from './copy-progress.ts';
import { planDress } from './dress.ts';
import { listLeaves, planLeafIndexes, planTwinIndexes } from './leaves.ts';
import { planCapture, planMake, planTakeBack } from './make.ts';
import { findPair, type Pair } from './pair.ts';
import { proveSplit } from './prove-split.ts';
import { catchUp } from './replay.ts';
import { enter, readState, saveBlock } from './run-state.ts';
import { type SplitSwap, swapSplit } from './split-swap.ts';
import { analyzeTwin, listStatistics } from './statistics.ts';

/** How a table is split, beside how the worker waits. */
export interface SplitSettings extends WorkSettings, Pick<BackfillSettings, 'batchMs' | 'pauseMs'> {}

type Phases = Prepared & {
  readonly worker: Worker;
  readonly steps: Steps;
  readonly settings: SplitSettings;
  readonly pair: Pair;
  carryOut(step: Step): Promise<void>;
};

/**
 * Takes a table from wherever an earlier run left it to the swap. `swapped` is false when somebody changed the table
 * meanwhile, or emptied or rewrote it; then it has to be prepared again, and goes on as far as the copy is still good.
 */
export async function split(
  worker: Worker,
  prepared: Prepared,
  steps: Steps,
  settings: SplitSettings,
): Promise<{ readonly swapped: boolean; readonly lockedMs: number }> {
  const { sql } = worker.session;
  const { table, choices, state } = prepared;
  const carryOut = (step: Step) => steps.run(step.title, () => worker.carryOut(step));
  const pair = await findPair(sql, {
    from: table,
    to: twinOf<QualifiedName>(table),
    partitionColumn: choices.column,
  });
  const found = await readState(sql, table);
  if (!found || state.twin?.mark?.made !== madeOf(table, choices)) {
    if (found || state.twin) await carryOut(planTakeBack(table));
    await carryOut(planMake(prepared, pair));
  }
  const phases: Phases = { ...prepared, worker, steps, settings, pair, carryOut };
  for (;;) {
    const run = await readState(sql, table);
    switch (run?.phase) {
      case 'capture':
        await carryOut(planCapture(pair));
        continue;
      case 'copy':
        if (await copy(phases)) continue;
        break;
      case 'index':
        await buildIndexes(phases, run.done);
        continue;
      case 'swap': {
        const { outcome, lockedMs } = await swap(phases);
        if (outcome !== 'anew') return { swapped: outcome === 'swapped', lockedMs };
        break;
      }
    }
    await carryOut(planTakeBack(table));
    return { swapped: false, lockedMs: 0 };
  }
}

async function copy({ worker, table, pair, steps, settings }: Phases): Promise<boolean> {
  const run = await readState(worker.session.sql, table);
  if (!run) return false;
  const onBatch = createCopyProgress(shown(table), settings.onProgress);
  const isWhole = await steps.run(`copy the rows of ${shown(table)}`, () =>
    backfill(worker, pair, run, (at) => saveBlock(table, at), { ...settings, onBatch }),
  );
  if (!isWhole) return false;
  const next = enter(table, 'index');
  await worker.transaction(next.why, (sql) => sql.unsafe(next.sql));
  return true;
}

async function buildIndexes(
  { worker, table, choices, pair, carryOut }: Phases,
  done: readonly string[],
): Promise<void> {
  for (const leaf of await listLeaves(worker.session.sql, pair.to))
    if (!done.includes(leaf.name)) await carryOut(planLeafIndexes(table, choices, leaf, pair));
  await carryOut(planTwinIndexes(table, choices));
}

const mostTries = 10;
/** Changes that may be left when the lock is asked for. */
const enough = 500;

async function swap(phases: Phases): Promise<SplitSwap> {
  const { worker, table, pair, steps, carryOut, choices } = phases;
  const { sql } = worker.session;
  const follow = () =>
    steps.run(`make good what changed in ${shown(table)}`, () => catchUp(worker, pair, { enough }));
  const anew: SplitSwap = { outcome: 'anew', lockedMs: 0 };

  if (!(await follow())) return anew;
  await analyzeTwin(worker, table, steps);
  const leaves = await listLeaves(sql, pair.to);
  await carryOut(planDress(table, leaves, await listStatistics(sql, pair.to)));
  await steps.run(`compare ${shown(table)} and its twin`, () =>
    proveSplit(worker, pair, { partitioned: pair.to, column: choices.column }),
  );
  for (let tries = 1; ; tries++) {
    if (!(await follow())) return anew;
    const result = await steps.run(`put the twin in the place of ${shown(table)}`, () =>
      swapSplit(worker, phases, leaves, pair),
    );
    if (result.outcome !== 'behind' || tries === mostTries) return result;
  }
}
