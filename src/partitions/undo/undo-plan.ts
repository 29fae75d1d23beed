import type { Sql } from 'postgres';
import { renderPlan, type Step } from '../../db/plan.ts';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';
import { putIncoming, validateIncoming } from '../convert/incoming.ts';
import { describeViews, type MaterializedView, planViews } from '../convert/materialized.ts';
import { planDropTwin } from '../convert/twin.ts';
import { planBatch, planDropChild } from './move-rows.ts';
import type { PreparedUndo } from './prepare-undo.ts';
import { planSwapBack } from './swap-back.ts';
import { planLost, planTakeBack } from './undo.ts';

/** The steps of an undo, as they will be carried out unless somebody changes the table meanwhile. */
export function planUndo(prepared: PreparedUndo, views: readonly MaterializedView[]): Step[] {
  if (prepared.stage === 'unfinished') return planTakeBack(prepared);
  if (prepared.stage !== 'converted') return [];
  const { table, old, memory, newer } = prepared;
  const filled = newer.filter(({ hasRows }) => hasRows);
  const { locks, work } = planSwapBack({ ...prepared, filled });
  const inOne = (title: string, statements: Step['statements']): Step => ({
    title,
    transaction: true,
    statements,
  });
  return [
    ...planLost(prepared, () => false).map(({ step }) => step),
    inOne(`put ${shown(old)} back in the place of ${shown(table)}`, [...locks, ...work]),
    ...planViews(views),
    ...filled.map(({ name }) =>
      inOne(`move the rows of ${shown(name)} back (eduschema does it in batches)`, [
        ...planBatch(table, name, null),
        ...planDropChild(table, name),
      ]),
    ),
    ...memory.incoming.flatMap((key) => [
      inOne(`${key.name} of ${shown(key.table)} references ${shown(table)} again`, putIncoming(table, [key])),
      { title: `look at ${key.name}`, transaction: false, statements: [validateIncoming(key)] },
    ]),
    planDropTwin(table),
  ];
}

/**
 * The plan as SQL that psql runs. Throws `table-unsuitable` after a split: what was noted since the swap is made good in
 * rounds that follow each other, and SQL without them would lose rows.
 */
export async function renderUndo(sql: Sql, prepared: PreparedUndo, lockTimeout: string): Promise<string> {
  if (prepared.stage === 'converted' && prepared.memory.method === 'split')
    throw new EduschemaError(
      'table-unsuitable',
      `undoing the split of ${shown(prepared.table)} cannot be written as a script: rows that came since are made good in rounds`,
      {
        hint: 'leave --dry-run out; the command asks before it changes anything, and can be cut off at any step',
      },
    );
  const views = prepared.stage === 'converted' ? await describeViews(sql, prepared.table) : [];
  const steps = planUndo(prepared, views);
  if (steps.length > 0) return renderPlan(steps, lockTimeout);
  return prepared.stage === 'back'
    ? '-- the table is in its place again; what remains is done by running undo\n'
    : '-- nothing to do\n';
}
