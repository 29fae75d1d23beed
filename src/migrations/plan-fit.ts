import type { Database } from '../db/connect.ts';
import type { SchemaFingerprint } from '../db/schema-fingerprint.ts';
import type { MigrationFolder } from './folder.ts';
import { planHooks, readHooks } from './hooks.ts';
import { type Journal, readJournal } from './journal.ts';
import { type MigrationPlan, planMigrate } from './plan.ts';
import {
  type Difference,
  describeDifference,
  listForgottenDifferences,
  listJournalDifferences,
  listStepDifferences,
  planDiffers,
  shownDifferences,
} from './plan-differences.ts';
import { findSearchPath, fingerprintOf, type PlanDocument } from './plan-document.ts';
import type { ReadPlan } from './plan-file.ts';
import { findPlanRun, type PlanRun } from './plan-runs.ts';
import { judgeSchema, listRunDifferences, type SchemaVerdict, standingOf } from './plan-standing.ts';
import { describeSteps } from './plan-steps.ts';
import { isTransactional, type Prepared } from './prepare.ts';
import type { MigrationSettings } from './settings.ts';
import { compareState } from './state.ts';
import { listUnfinished, migrationOf, type Unfinished } from './statement-journal.ts';

/** A plan beside what is there now. */
export interface Fit {
  readonly journal: Journal;
  /** The steps that are left. */
  readonly plan: MigrationPlan;
  /** How many were done before. */
  readonly done: number;
  readonly run: PlanRun | undefined;
  readonly unfinished: readonly Unfinished[];
  /** Undefined when nothing is left to run, and the schema was not looked at. */
  readonly fingerprint: SchemaFingerprint | undefined;
}

/** Whether nothing is left to do. */
export const isNothing = ({ plan, journal }: Pick<Fit, 'plan' | 'journal'>) =>
  plan.steps.length === 0 &&
  plan.hooks.after.length === 0 &&
  plan.forgotten.length === 0 &&
  journal.shape !== 'guide';

/** Throws `plan-differs` when there are differences. */
export function refuse({ shown }: ReadPlan, differences: readonly Difference[], server?: string): void {
  if (differences.length > 0) throw planDiffers(shown, differences, { server });
}

/** Throws `plan-differs` unless the plan fits, or what is left of it. */
export async function fitPlan(
  database: Database,
  settings: MigrationSettings,
  folder: MigrationFolder,
  read: ReadPlan,
): Promise<Fit> {
  const { sql } = database;
  const { plan, sha256 } = read;
  const journal = await readJournal(sql, settings.journal);
  const run = await findPlanRun(sql, settings.journal, sha256);
  const { done, before } = standingOf(plan, journal, run !== undefined);
  const unfinished = await listUnfinished(sql, journal);
  const { singleTransaction } = plan.options;
  const whole = await planMigrate(folder, before, optionsOf(plan));
  const now = (steps: readonly Prepared[]) => ({
    steps,
    described: describeSteps(steps, unfinished, singleTransaction),
    begun: run !== undefined,
  });
  const differences: Difference[] = [
    ...listStepDifferences(plan.steps, now(whole.steps)),
    ...listForgottenDifferences(plan.forgotten, whole.forgotten),
    ...listJournalDifferences(plan.recorded, before),
  ];
  const known = new Set(journal.repeatable.map(({ name }) => name));
  const steps = whole.steps.slice(done);
  const rest: MigrationPlan = {
    state: compareState(folder, journal),
    steps,
    forgotten: whole.forgotten.filter((name) => known.has(name)),
    hooks: planHooks(readHooks(settings), steps, journal, singleTransaction),
  };
  // Without steps, those alone run that an earlier run did not come to.
  if (steps.length > 0) differences.push(...listStepDifferences(plan.hooks.before, now(rest.hooks.before)));
  if (steps.length > 0 || rest.hooks.after.length > 0)
    differences.push(...listStepDifferences(plan.hooks.after, now(rest.hooks.after)));
  const fit = { journal, plan: rest, done, run, unfinished };
  if (isNothing(fit)) {
    refuse(read, differences);
    return { ...fit, fingerprint: undefined };
  }
  const fingerprint = await fingerprintOf(sql, settings);
  const fresh = done === 0 && fingerprint.sha256 === plan.fingerprint;
  if (!fresh) differences.push(...listRunDifferences(plan, done, run));
  if (run === undefined) differences.push(...(await listPathDifferences(database, settings, plan)));
  const nextIsOpen = isOpen(rest.steps[0], unfinished);
  const verdict = judgeSchema(plan, run, { done, nextIsOpen }, fingerprint);
  const schema = verdict.differences.map((difference): Difference => ({ of: 'schema', ...difference }));
  if (verdict.laidTo.length > 0) refuse(read, differences);
  else refuse(read, [...differences, ...schema], explainServer(plan, database, schema));
  if (run && !fresh) tellResumed(settings, read, { ...fit, fingerprint }, verdict);
  return { ...fit, fingerprint };
}

const optionsOf = ({ options: { to, steps, outOfOrder, singleTransaction } }: PlanDocument) => ({
  ...(to === null ? {} : { to }),
  ...(steps === null ? {} : { steps }),
  outOfOrder,
  singleTransaction,
});

/** Whether a step that runs outside a transaction was begun, or may have been: of code nobody knows. */
function isOpen(step: Prepared | undefined, unfinished: readonly Unfinished[]): boolean {
  if (!step || isTransactional(step)) return false;
  if (step.kind === 'module') return true;
  return unfinished.some(
    ({ migration, direction }) => migration === migrationOf(step.unit) && direction === step.direction,
  );
}

async function listPathDifferences(
  { sql }: Database,
  settings: MigrationSettings,
  { database: { searchPath: then } }: PlanDocument,
): Promise<Difference[]> {
  const now = await findSearchPath(sql, settings);
  if (now === then) return [];
  const detail = `names without a schema led to ${then || 'none'} then, and lead to ${now || 'none'} now`;
  return [{ of: 'setting', change: 'changed', name: 'search_path', detail }];
}

/** A minor version may have changed how a definition is printed. */
function explainServer(
  { database: { server } }: PlanDocument,
  { facts }: Database,
  schema: readonly Difference[],
): string | undefined {
  if (server === facts.version || schema.length === 0) return undefined;
  return `the server was ${server} then and is ${facts.version} now, which may print some definitions in another way`;
}

function tellResumed(
  { onProgress }: MigrationSettings,
  { shown, plan }: ReadPlan,
  { done, run }: Fit,
  { differences, laidTo }: SchemaVerdict,
): void {
  const message = `going on with ${shown} after ${done} of ${plan.steps.length}; begun ${run?.begunAt}`;
  onProgress?.({ type: 'resumed', message });
  if (differences.length === 0) return;
  const names = laidTo.map(({ name }) => name).join(', ');
  const lines = differences
    .slice(0, shownDifferences)
    .map((difference) => `\n  ${describeDifference(difference)}`);
  const more = differences.length - shownDifferences;
  onProgress?.({
    type: 'resumed',
    message: `the last run was killed before it could note the schema; these are laid to ${names}:${lines.join('')}${more > 0 ? `\n  and ${more} more` : ''}`,
  });
}
