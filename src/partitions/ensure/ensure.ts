import { interruptible } from '../../db/cancel-on-abort.ts';
import type { Database } from '../../db/connect.ts';
import { isConnectionLost, isServerError } from '../../db/explain-error.ts';
import { type QualifiedName, showName } from '../../db/identifiers.ts';
import { type AskForSession, withKeptSession } from '../../db/kept-session.ts';
import { defaultLockTimeout } from '../../db/lock-settings.ts';
import { renderPlan } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { workerSession } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { listPartitionedTables } from '../catalogue.ts';
import type { Refusal } from './decide.ts';
import { describeRefused, planEnsure } from './dry-run.ts';
import { ensureTable, type MadePartition } from './ensure-table.ts';
import { type EnsureOptions, findSituation, isComplete } from './situation.ts';

/** What came of a run over tables. */
export interface Ensured {
  readonly tables: readonly QualifiedName[];
  readonly made: readonly MadePartition[];
  /** The server only follows another one: nothing was looked at. */
  readonly isStandby: boolean;
  /** With `dryRun`: what would be done, as psql takes it. */
  readonly script?: string | undefined;
}

/**
 * Makes the partitions that tables lack: of those named, or of all that are partitioned by time. One after the other;
 * when one fails, the others are done all the same, and then its error is thrown.
 */
export async function ensure(
  database: Database,
  names: readonly QualifiedName[],
  options: EnsureOptions & { readonly dryRun?: boolean | undefined },
  settings: WorkSettings,
): Promise<Ensured> {
  if (database.facts.inRecovery) return { tables: [], made: [], isStandby: true };
  const tables =
    names.length > 0 ? names : (await listPartitionedTables(database.sql)).map(({ name }) => name);
  const made: MadePartition[] = [];
  const failures: Failure[] = [];
  let script = '';
  const ensureOne = async (name: QualifiedName, keep: AskForSession) => {
    try {
      const situation = await interruptible(database, settings.signal, () =>
        findSituation(database.sql, name, options),
      );
      if (isComplete(situation)) return;
      if (options.dryRun) {
        const { steps, refused } = await planEnsure(database, situation, options);
        script +=
          renderPlan(steps, settings.lockTimeout ?? defaultLockTimeout) + describeRefused(name, refused);
        return;
      }
      const ensured = await ensureTable(database, name, options, settings, keep);
      made.push(...ensured.made);
      if (ensured.refused.length > 0) failures.push({ name, error: refusalError(name, ensured.refused) });
    } catch (thrown) {
      const error = settings.signal?.aborted ? thrown : explain(name, thrown);
      if (!(error instanceof EduschemaError) || error.code === 'interrupted' || !database.isOpen())
        throw thrown;
      failures.push({ name, error });
    }
  };
  // A session for each table would look everything in the catalogue up anew.
  await withKeptSession(database, workerSession(settings), async (keep) => {
    for (const name of tables) await ensureOne(name, keep);
  });
  if (failures.length > 0) throw failed(failures, made);
  return { tables, made, isStandby: false, ...(options.dryRun ? { script } : {}) };
}

/** What the server refuses while a table is looked at is its own matter, too: its default partition is read. */
function explain(name: QualifiedName, error: unknown): unknown {
  if (!isServerError(error) || isConnectionLost(error)) return error;
  const code = error.code === '42501' ? 'permission-denied' : 'database-error';
  return new EduschemaError(code, `cannot look at ${showName(name)}: ${error.message} (${error.code})`, {
    hint: error.hint ?? error.detail,
    cause: error,
    details: { sqlstate: error.code },
  });
}

interface Failure {
  readonly name: QualifiedName;
  readonly error: EduschemaError;
}

/** The first error, and below it those of other tables. */
function failed(failures: readonly Failure[], made: readonly MadePartition[]): EduschemaError {
  const [{ error }, ...others] = failures as readonly [Failure, ...Failure[]];
  const lines = others.map((other) => `${showName(other.name)}: ${other.error.message}`);
  const done = made.length > 0 ? [`${made.length} partitions were made before and after that`] : [];
  return new EduschemaError(error.code, error.message, {
    excerpt: [error.excerpt, ...lines, ...done].filter(Boolean).join('\n') || undefined,
    hint: error.hint,
    cause: error.cause,
    details: {
      ...error.details,
      made,
      failed: failures.map(({ name, error: { code, message } }) => ({ table: name, code, message })),
    },
  });
}

function refusalError(name: QualifiedName, [first, ...others]: readonly Refusal[]): EduschemaError {
  const { parts, why, hint } = first as Refusal;
  const days = parts.map(({ day }) => day);
  const which = days.length > 3 ? `${days[0]} to ${days.at(-1)}` : days.join(', ');
  return new EduschemaError(
    'long-lock-needed',
    `partitions of ${showName(name)} were not made (${which}): ${why}`,
    { hint, excerpt: others.map((other) => `  ${other.why}`).join('\n') || undefined },
  );
}
