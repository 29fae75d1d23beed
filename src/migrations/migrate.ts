import type { Database } from '../db/connect.ts';
import { carryOut, type MigrateResult } from './carry-out.ts';
import { folderOf } from './folder.ts';
import { readHooks } from './hooks.ts';
import { readJournal } from './journal.ts';
import { type MigratePlanOptions, planMigrate, planRollback } from './plan.ts';
import type { NamedFile } from './plan-file.ts';
import { nameOfUnit } from './prepare.ts';
import type { Said } from './run-settings.ts';
import type { Selection } from './select.ts';
import type { MigrationSettings } from './settings.ts';

export interface MigrateOptions extends Omit<MigratePlanOptions, 'hooks'> {
  /** Change nothing; return the SQL instead. */
  readonly dryRun?: boolean | undefined;
  /** Statements, by their ordinals, that an earlier run left in doubt: carried out, or to be carried out again. */
  readonly markDone?: readonly number[] | undefined;
  readonly redo?: readonly number[] | undefined;
  /** Change nothing; write into this file what would be done, for somebody to agree to. See makePlan. */
  readonly plan?: NamedFile | undefined;
  /** Do what this plan says, and nothing else. See migrateFromPlan. */
  readonly fromPlan?: NamedFile | undefined;
}

/**
 * Applies what is pending, in the order of versions, then the repeatable migrations whose text changed. Each one
 * commits together with its row in the journal; a failing one leaves no trace, and the ones before it stay.
 * Throws an EduschemaError that says what to do; then nothing is half done, except what a migration with
 * `transaction:false` carried out itself.
 */
export async function migrate(
  database: Database,
  settings: MigrationSettings,
  options: MigrateOptions = {},
): Promise<MigrateResult> {
  if (options.plan || options.fromPlan) {
    const { migrateWithPlan } = await import('./migrate-with-plan.ts');
    return migrateWithPlan(database, settings, options);
  }
  const hooks = readHooks(settings);
  return carryOut(
    database,
    settings,
    (folder, journal) => planMigrate(folder, journal, { ...options, hooks }),
    {
      ...options,
      said: saidOf(options),
      command: 'eduschema migrate',
    },
  );
}

export interface RollbackOptions extends Selection {
  readonly dryRun?: boolean | undefined;
  readonly singleTransaction?: boolean | undefined;
  /** As in `MigrateOptions`. */
  readonly markDone?: readonly number[] | undefined;
  readonly redo?: readonly number[] | undefined;
}

function saidOf({ markDone = [], redo = [] }: Pick<MigrateOptions, 'markDone' | 'redo'>): Said {
  return { markDone, redo };
}

/**
 * Undoes the newest migration, or `steps` of them, or all above `to`, or all, newest first.
 * Throws before anything runs when one of them has no way down.
 */
export async function rollback(
  database: Database,
  settings: MigrationSettings,
  options: RollbackOptions = {},
): Promise<MigrateResult> {
  return carryOut(database, settings, (folder, journal) => planRollback(folder, journal, options), {
    ...options,
    said: saidOf(options),
    command: 'eduschema rollback',
  });
}

/** What `rollback` would undo, newest first, by name: for the question before it. */
export async function listRollback(
  database: Database,
  settings: MigrationSettings,
  options: RollbackOptions,
): Promise<readonly string[]> {
  const folder = await folderOf(settings);
  const plan = await planRollback(folder, await readJournal(database.sql, settings.journal), options);
  return plan.steps.map(({ unit }) => nameOfUnit(unit));
}
