import type { Database } from '../db/connect.ts';
import { executePlan, type HookDone, type MigrationDone } from './execute.ts';
import { folderOf, type MigrationFolder } from './folder.ts';
import { type Journal, readJournal } from './journal.ts';
import { forbidJournalChanges } from './journal-guard.ts';
import type { MadePlan } from './make-plan.ts';
import { currentAfter, type MigrationPlan } from './plan.ts';
import { forbidReadOnly, prepareJournal } from './prepare-journal.ts';
import type { Said } from './run-settings.ts';
import { renderScript } from './script.ts';
import type { MigrationSettings } from './settings.ts';
import { listUnfinished } from './statement-journal.ts';
import { stayConnected, withTurn } from './turn.ts';

/** What `migrate` and `rollback` did. */
export interface MigrateResult {
  readonly done: readonly MigrationDone[];
  /** Hooks that were run, in order. */
  readonly hooks: readonly HookDone[];
  /** The newest applied version before and after. */
  readonly previous: string | undefined;
  readonly current: string | undefined;
  /** With `dryRun`: the SQL that would have run, as psql takes it. */
  readonly script: string | undefined;
  /** With `plan`: what was written. */
  readonly plan?: MadePlan;
  /** With `fromPlan`: the SHA-256 of the plan's file. */
  readonly planSha256?: string;
}

export interface CarryOutOptions {
  readonly dryRun?: boolean | undefined;
  readonly singleTransaction?: boolean | undefined;
  /** What the user says of statements that an earlier run left in doubt. */
  readonly said?: Said | undefined;
  /** The command to run again after a failure. */
  readonly command: string;
}

/** Decides what is to be done, from the files and what is recorded. */
export type Planner = (folder: MigrationFolder, journal: Journal) => Promise<MigrationPlan>;

/**
 * Asks, plans and runs. Planned twice: first without the lock, since mostly there is nothing to do; then again
 * under it, when another runner may have been faster.
 */
export async function carryOut(
  database: Database,
  settings: MigrationSettings,
  planner: Planner,
  options: CarryOutOptions,
): Promise<MigrateResult> {
  forbidReadOnly(database);
  const [folder, journal] = await Promise.all([
    folderOf(settings),
    readJournal(database.sql, settings.journal),
    // Reading large files takes a while.
    options.dryRun ? undefined : stayConnected(database),
  ]);
  const planned = async (journal: Journal) => {
    const plan = await planner(folder, journal);
    forbidJournalChanges(plan, settings.journal);
    return plan;
  };
  const plan = await planned(journal);
  const unchanged = {
    done: [],
    hooks: [],
    previous: plan.state.current,
    current: plan.state.current,
    script: undefined,
  };
  if (options.dryRun)
    return {
      ...unchanged,
      script: renderScript(plan, journal, settings, {
        ...options,
        versionNumber: database.facts.versionNumber,
        unfinished: await listUnfinished(database.sql, journal),
      }),
    };
  const nothing = !hasWork(plan) && plan.forgotten.length === 0 && journal.shape !== 'guide';
  if (nothing) return unchanged;

  return withTurn(database, settings, async (settings) => {
    const journal = await readJournal(database.sql, settings.journal);
    const plan = await planned(journal);
    await prepareJournal(database, journal, plan, settings);
    const { done, hooks } = hasWork(plan)
      ? await executePlan(database, plan, settings, options)
      : { done: [], hooks: [] };
    return {
      done,
      hooks,
      previous: plan.state.current,
      current: currentAfter(plan.state, plan.steps),
      script: undefined,
    };
  });
}

/** Hooks alone are work when they were due before. */
function hasWork({ steps, hooks }: MigrationPlan): boolean {
  return steps.length > 0 || hooks.after.length > 0;
}
