import type { Database } from '../db/connect.ts';
import type { MigrateResult } from './carry-out.ts';
import { executePlan } from './execute.ts';
import { folderOf, type MigrationFolder } from './folder.ts';
import { readJournal } from './journal.ts';
import { currentAfter } from './plan.ts';
import { listSettingDifferences } from './plan-differences.ts';
import { type NamedFile, type ReadPlan, readPlan } from './plan-file.ts';
import { type Fit, fitPlan, isNothing, refuse } from './plan-fit.ts';
import { notePlanRun } from './plan-notes.ts';
import { standingOf } from './plan-standing.ts';
import { forbidReadOnly, prepareJournal } from './prepare-journal.ts';
import type { Said } from './run-settings.ts';
import { renderScript } from './script.ts';
import type { MigrationSettings } from './settings.ts';
import { type HeldTurn, withTurn } from './turn.ts';

export interface FromPlanOptions {
  /** Compare, change nothing, and return the SQL. */
  readonly dryRun?: boolean | undefined;
  /** What the user says of statements that an earlier run left in doubt. */
  readonly said: Said;
}

/**
 * Carries out a plan, if files, journal, settings and schema are what they were when it was made; throws
 * `plan-differs`, before anything runs, when one is not. A plan that was carried out in part goes on, and one that
 * was carried out whole does nothing.
 */
export async function migrateFromPlan(
  database: Database,
  settings: MigrationSettings,
  file: NamedFile,
  options: FromPlanOptions,
): Promise<MigrateResult> {
  const read = readPlan(file);
  forbidReadOnly(database);
  refuse(read, listSettingDifferences(read.plan, database.facts, settings));
  const result = await followPlan(database, settings, read, options);
  return { ...result, planSha256: read.sha256 };
}

async function followPlan(
  database: Database,
  settings: MigrationSettings,
  read: ReadPlan,
  options: FromPlanOptions,
): Promise<MigrateResult> {
  const folder = await folderOf(settings);
  if (options.dryRun) return dryRun(database, settings, folder, read);
  const { sql } = database;
  const journal = await readJournal(sql, settings.journal);
  // What is done already needs no turn.
  if (standingOf(read.plan, journal, true).done === read.plan.steps.length) {
    const fit = await fitPlan(database, settings, folder, read);
    if (isNothing(fit)) return unchanged(fit);
  }
  return withTurn(database, settings, async (held) => {
    const fit = await fitPlan(database, held, folder, read);
    return isNothing(fit) ? unchanged(fit) : carryOut(database, held, read, fit, options.said);
  });
}

const unchanged = ({ plan: { state } }: Fit): MigrateResult => ({
  done: [],
  hooks: [],
  previous: state.current,
  current: state.current,
  script: undefined,
});

async function dryRun(
  database: Database,
  settings: MigrationSettings,
  folder: MigrationFolder,
  read: ReadPlan,
): Promise<MigrateResult> {
  const fit = await fitPlan(database, settings, folder, read);
  const script = renderScript(fit.plan, fit.journal, settings, {
    singleTransaction: read.plan.options.singleTransaction,
    versionNumber: database.facts.versionNumber,
    unfinished: fit.unfinished,
  });
  return { ...unchanged(fit), script };
}

async function carryOut(
  database: Database,
  held: HeldTurn,
  read: ReadPlan,
  { journal, plan, done: before, fingerprint }: Fit,
  said: Said,
): Promise<MigrateResult> {
  const { options } = read.plan;
  const { done, hooks } = await notePlanRun(
    database,
    held,
    read,
    { plan, before, fingerprint },
    async (afterStep) => {
      await prepareJournal(database, journal, plan, held);
      if (plan.steps.length === 0 && plan.hooks.after.length === 0) return { done: [], hooks: [] };
      return executePlan(database, plan, held, {
        singleTransaction: options.singleTransaction,
        said,
        command: `eduschema migrate --from-plan ${read.shown}`,
        afterStep,
      });
    },
  );
  return {
    done,
    hooks,
    previous: plan.state.current,
    current: currentAfter(plan.state, plan.steps),
    script: undefined,
  };
}
