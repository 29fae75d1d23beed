import type { QualifiedName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { underUtc } from '../catalogue.ts';
import { shown } from '../convert/choices.ts';
import { describeTable } from '../convert/describe-table.ts';
import { twinOf } from '../convert/names.ts';
import type { Prepared } from '../convert/prepare.ts';
import type { Steps } from '../convert/steps.ts';
import { type BackfillSettings, backfill } from './backfill.ts';
import { madeOf } from './bare.ts';
import { createCopyProgress } from './copy-progress.ts';
import { planDress } from './dress.ts';
import { writeEvenly } from './even-writes.ts';
import { hasIndexes, listLeaves, planLeafIndexes, planTwinIndexes } from './leaves.ts';
import { planCapture, planMake, planTakeSplitBack } from './make.ts';
import { waitForOldSnapshots } from './old-snapshots.ts';
import { findPair, type Pair } from './pair.ts';
import { proveSplit } from './prove-split.ts';
import { findRemains } from './remains.ts';
import { catchUp } from './replay.ts';
import { enter, type RunState, readState, saveBlock } from './run-state.ts';
import { isCaptured, swapSplit } from './split-swap.ts';
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
): Promise<Swapped> {
  const { sql } = worker.session;
  const { table, choices, state } = prepared;
  const carryOut = (step: Step) => steps.run(step.title, () => worker.carryOut(step));
  await writeEvenly(sql);
  const pair = await findPair(sql, {
    from: table,
    to: twinOf<QualifiedName>(table),
    partitionColumn: choices.column,
  });
  const found = await readState(sql, table);
  if (!found || state.twin?.mark?.made !== madeOf(table, choices)) {
    if ((await findRemains(sql, table)).any || state.twin)
      await carryOut(planTakeSplitBack(table, state.twin !== undefined));
    await carryOut(planMake(prepared, pair));
  }
  const phases: Phases = { ...prepared, worker, steps, settings, pair, carryOut };
  for (;;) {
    const run = await readState(sql, table);
    const isStillGood = async () => run?.phase === 'capture' || (await isGood(phases));
    const result = (await isStillGood())
      ? await goOn(phases, run).catch(async (error) => {
          // Somebody else's doing may be why it failed.
          if (await isStillGood().catch(() => true)) throw error;
          return 'anew' as const;
        })
      : 'anew';
    if (result === 'next') continue;
    if (result !== 'anew') return result;
    await carryOut(planTakeSplitBack(table));
    return { swapped: false, lockedMs: 0 };
  }
}

/** Whether the copy can be relied on: changes are noted, and the table has the columns and the key that its twin has. */
async function isGood({ worker, pair, table, choices }: Phases): Promise<boolean> {
  const { sql, facts } = worker.session;
  if (!(await isCaptured(sql, pair))) return false;
  const now = await underUtc(sql, (inside) => describeTable(inside, table, facts.versionNumber));
  return now !== undefined && now.oid === table.oid && madeOf(now, choices) === madeOf(table, choices);
}

type Swapped = { readonly swapped: boolean; readonly lockedMs: number };

async function goOn(phases: Phases, run: RunState | undefined): Promise<Swapped | 'next' | 'anew'> {
  switch (run?.phase) {
    case 'capture':
      await phases.carryOut(planCapture(phases.pair));
      return 'next';
    case 'copy':
      return copy(phases, run);
    case 'index':
      await buildIndexes(phases, run);
      return 'next';
    case 'swap':
      return swap(phases, run);
    default:
      return 'anew';
  }
}

async function copy(
  { worker, table, pair, steps, settings }: Phases,
  run: RunState,
): Promise<'next' | 'anew'> {
  const onBatch = createCopyProgress(shown(table), settings.onProgress);
  const isWhole = await steps.run(`copy the rows of ${shown(table)}`, () =>
    backfill(worker, pair, run, (at) => saveBlock(table, at), { ...settings, onBatch }),
  );
  if (!isWhole) return 'anew';
  const next = enter(table, 'index');
  await worker.transaction(next.why, (sql) => sql.unsafe(next.sql));
  return 'next';
}

async function buildIndexes(
  { worker, table, choices, pair, carryOut }: Phases,
  { done, indexes }: RunState,
): Promise<void> {
  for (const leaf of await listLeaves(worker.session.sql, pair.to))
    if (!done.includes(leaf.name)) await carryOut(planLeafIndexes(table, choices, leaf, pair));
  await carryOut(planTwinIndexes(table, choices, indexes));
}

const mostTries = 10;
/** Changes that may be left when the lock is asked for. */
const enough = 500;

async function swap(phases: Phases, { indexes, copied }: RunState): Promise<Swapped | 'anew'> {
  const { worker, table, pair, steps, carryOut, choices } = phases;
  const { sql } = worker.session;
  const follow = () =>
    steps.run(`make good what changed in ${shown(table)}`, () => catchUp(worker, pair, { enough }));

  if (!(await follow())) return 'anew';
  if (!hasIndexes(table, indexes)) await carryOut(planTwinIndexes(table, choices, indexes));
  await analyzeTwin(worker, table, steps);
  const leaves = await listLeaves(sql, pair.to);
  await carryOut(planDress(table, leaves, await listStatistics(sql, pair.to)));
  await steps.run(`compare ${shown(table)} and its twin`, () =>
    proveSplit(worker, pair, { partitioned: pair.to, column: choices.column }),
  );
  if (copied !== null) await waitForOldSnapshots(worker, table, copied, phases.settings);
  for (let tries = 1; ; tries++) {
    if (!(await follow())) return 'anew';
    const { outcome, lockedMs } = await steps.run(`put the twin in the place of ${shown(table)}`, () =>
      swapSplit(worker, phases, leaves, pair),
    );
    if (outcome === 'anew') return 'anew';
    if (outcome !== 'behind') return { swapped: outcome === 'swapped', lockedMs };
    if (tries === mostTries) throw tooBusy(phases);
  }
}

function tooBusy({ table }: Phases): EduschemaError {
  return new EduschemaError(
    'table-changed',
    `${shown(table)} changes faster than its last changes can be made good while it is locked`,
    { hint: 'everything else is done: run the command again at a quieter time' },
  );
}
