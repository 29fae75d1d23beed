import type { Database } from '../db/connect.ts';
import { EduschemaError } from '../errors.ts';
import type { MigrateResult } from './carry-out.ts';
import { folderOf } from './folder.ts';
import { readHooks } from './hooks.ts';
import { type Journal, readJournal } from './journal.ts';
import { type MigratePlanOptions, type MigrationPlan, planMigrate } from './plan.ts';
import { describePlan, findSearchPath, fingerprintOf, type PlanDocument } from './plan-document.ts';
import { forbidOtherFile, type NamedFile, renderPlan, writePlan } from './plan-file.ts';
import { listPlaceholders, type PlannedStep } from './plan-steps.ts';
import type { MigrationSettings } from './settings.ts';
import { listUnfinished } from './statement-journal.ts';

/** A plan that was written. */
export interface MadePlan {
  readonly file: string;
  /** SHA-256 of the file: what a person signs. */
  readonly sha256: string;
  readonly fingerprint: string;
  readonly steps: readonly PlannedStep[];
  readonly hooks: PlanDocument['hooks'];
  /** What a person should know of it. */
  readonly warnings: readonly string[];
}

/**
 * Writes down what `migrate` would do with these options, and the fingerprint of the schema that it would do it to.
 * Changes nothing in the database. With the file `-` the plan is the result's `script`.
 */
export async function makePlan(
  database: Database,
  settings: MigrationSettings,
  options: Omit<MigratePlanOptions, 'hooks'>,
  file: NamedFile,
): Promise<MigrateResult> {
  const toStdout = file.shown === '-';
  if (!toStdout) forbidOtherFile(file);
  const [folder, journal] = await Promise.all([
    folderOf(settings),
    readJournal(database.sql, settings.journal),
  ]);
  const plan = await planMigrate(folder, journal, { ...options, hooks: readHooks(settings) });
  const unfinished = await listUnfinished(database.sql, journal);
  const searchPath = await findSearchPath(database.sql, settings);
  const fingerprint = await fingerprintOf(database.sql, settings);
  forbidChange(journal, await readJournal(database.sql, settings.journal));
  const document = describePlan(
    database,
    settings,
    options,
    { journal, plan, unfinished, fingerprint, searchPath },
    new Date(),
  );
  const { text, sha256 } = renderPlan(document);
  if (!toStdout) writePlan(file, text);
  return {
    done: [],
    hooks: [],
    previous: plan.state.current,
    current: plan.state.current,
    script: toStdout ? text : undefined,
    plan: {
      file: file.shown,
      sha256,
      fingerprint: fingerprint.sha256,
      steps: document.steps,
      hooks: document.hooks,
      warnings: warningsOf(document, plan),
    },
  };
}

/** A plan is of one moment. */
function forbidChange(before: Journal, after: Journal): void {
  const facts = ({ rows, repeatable }: Journal) => JSON.stringify([rows, repeatable]);
  if (facts(before) === facts(after)) return;
  throw new EduschemaError('lock-held', 'another eduschema applied migrations while the plan was made', {
    hint: 'wait until it is done, and make the plan again',
  });
}

function warningsOf(
  { steps, hooks }: Pick<PlanDocument, 'steps' | 'hooks'>,
  plan: Pick<MigrationPlan, 'steps' | 'hooks'>,
): string[] {
  const placeholders = listPlaceholders([...plan.hooks.before, ...plan.steps, ...plan.hooks.after]);
  const secret =
    placeholders.length > 0
      ? [`the plan holds the values of ${placeholders.join(', ')}: where these are secret, so is the plan`]
      : [];
  const isCode = ({ kind }: PlannedStep) => kind === 'code';
  const code = steps
    .filter(isCode)
    .map(
      ({ file }) =>
        `${file} is code: the plan has the checksum of this file, not its statements, nor what it imports`,
    );
  const functions = [...hooks.before, ...hooks.after]
    .filter(isCode)
    .map(
      ({ name }) =>
        `the ${name} is a function: the plan has the checksum of its text, not its statements, nor what it calls`,
    );
  return [...secret, ...code, ...functions];
}
