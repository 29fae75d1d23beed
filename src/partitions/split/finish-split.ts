import type { Database } from '../../db/connect.ts';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';
import { outgoingOf } from '../convert/incoming.ts';
import { createSteps, type DoneStep } from '../convert/steps.ts';
import { findSplit, type Split } from './after-swap.ts';
import { dropCapture, stopCapture } from './capture.ts';
import { dropState, readState } from './run-state.ts';

/** What ended a split for good. */
export interface FinishResult {
  readonly table: QualifiedName;
  /** The old table, which was dropped. */
  readonly old: QualifiedName;
  readonly steps: readonly DoneStep[];
}

/** The steps after which the old table and everything that an undo needs is gone. */
export function planFinish({ table, old, pair }: Split): Step[] {
  const referenced = outgoingOf(old).map(({ references }) => references);
  return [
    {
      title: `note no longer what changes in ${shown(table)}`,
      transaction: true,
      statements: [...stopCapture(table), ...dropCapture(pair.changes), dropState(table)],
    },
    {
      title: `drop ${shown(old)}`,
      transaction: true,
      statements: [
        {
          sql: `DROP TABLE ${quoteName(old)}`,
          why: 'its rows are in the partitions',
          locks: [old, ...referenced].map((one) => `ACCESS EXCLUSIVE on ${shown(one)}`),
          waitsFor: referenced.length === 0 ? undefined : `whoever uses ${referenced.map(shown).join(', ')}`,
        },
      ],
    },
  ];
}

/**
 * What stands aside for a table that was split. Throws `table-unsuitable` when nothing does, or when the conversion is not
 * at its end.
 */
export async function prepareFinish(
  { sql, facts }: Pick<Database, 'sql' | 'facts'>,
  name: QualifiedName,
): Promise<Split> {
  const found = await findSplit(sql, name, facts.versionNumber);
  if (!found)
    throw new EduschemaError('table-unsuitable', `no table stands aside for ${shown(name)}`, {
      hint: 'there is nothing to finish: it was not split, or that was finished',
    });
  const run = await readState(sql, name);
  if (run && run.phase !== 'done')
    throw new EduschemaError('table-unsuitable', `the conversion of ${shown(name)} is not at its end`, {
      hint: `go on with it first: eduschema partitions convert ${shown(name)} --by ${found.memory.column} --method split`,
    });
  return found;
}

/** Drops what stands aside for a table that was split. From then on there is no undo. Throws what `prepareFinish` throws. */
export async function finishSplit(
  database: Database,
  name: QualifiedName,
  settings: WorkSettings,
): Promise<FinishResult> {
  return withWorker(database, `partitions of ${name.schema}.${name.name}`, settings, async (worker) => {
    const split = await prepareFinish(worker.session, name);
    const plan = planFinish(split);
    const steps = createSteps(settings, plan.length);
    for (const step of plan) await steps.run(step.title, () => worker.carryOut(step));
    const { schema, name: old } = split.old;
    return { table: name, old: { schema, name: old }, steps: steps.done };
  });
}
