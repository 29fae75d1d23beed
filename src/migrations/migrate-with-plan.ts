import type { Database } from '../db/connect.ts';
import { EduschemaError } from '../errors.ts';
import type { MigrateResult } from './carry-out.ts';
import { migrateFromPlan } from './from-plan.ts';
import { makePlan } from './make-plan.ts';
import type { MigrateOptions } from './migrate.ts';
import type { MigrationSettings } from './settings.ts';

/** `migrate` with the options `plan` or `fromPlan`. Throws `usage` when they contradict others. */
export async function migrateWithPlan(
  database: Database,
  settings: MigrationSettings,
  options: MigrateOptions,
): Promise<MigrateResult> {
  const { plan, fromPlan, dryRun, markDone = [], redo = [], ...selection } = options;
  const { to, steps, outOfOrder, singleTransaction } = selection;
  if (fromPlan) {
    forbid('--from-plan', 'the plan says what is done: leave it out, or make another plan', {
      '--plan': plan,
      '--to': to,
      '--steps': steps,
      '--out-of-order': outOfOrder,
      '--single-transaction': singleTransaction,
    });
    return migrateFromPlan(database, settings, fromPlan, { dryRun, said: { markDone, redo } });
  }
  if (!plan) throw new TypeError('neither plan nor fromPlan');
  forbid('--plan', 'a plan changes nothing: say it when the plan is carried out', {
    '--dry-run': dryRun,
    '--mark-done': markDone[0],
    '--redo': redo[0],
  });
  return makePlan(database, settings, selection, plan);
}

function forbid(option: string, hint: string, others: Readonly<Record<string, unknown>>): void {
  const given = Object.entries(others).find(([, value]) => value !== undefined && value !== false);
  if (!given) return;
  throw new EduschemaError('usage', `${option} and ${given[0]} cannot be used together`, { hint });
}
