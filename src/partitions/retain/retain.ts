import type { Database } from '../../db/connect.ts';
import { type QualifiedName, showName } from '../../db/identifiers.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { findPartitionedTable, listPartitionedTables, type PartitionedTable } from '../catalogue.ts';
import { findPolicy } from '../effective-policy.ts';
import { describeDepartures } from './describe.ts';
import { lookAt, type Outlook, type RetainOptions } from './outlook.ts';
import { retireAll } from './retire-all.ts';
import type { RetainRow } from './row.ts';
import { renderScript } from './script.ts';

/** What `retain` did, or would do. */
export interface RetainResult {
  readonly rows: RetainRow[];
  /** The SQL, of a run that was only planned. */
  readonly script?: string | undefined;
  /** The server is a standby: nothing is done there. */
  readonly standby: boolean;
}

/**
 * Retires the partitions whose end is older than is kept: detached, archived, dropped after the grace period, as far as
 * time and archives allow today. `approve` is asked before anything is changed, with what will be, in words.
 * What is in the way of one partition is told in its row, and the others go on. Throws when nobody said how long rows
 * are kept, and what the database or the folder refuses; a run after that goes on where this one stopped.
 */
export async function retain(
  database: Database,
  names: readonly QualifiedName[],
  options: RetainOptions,
  settings: WorkSettings,
  approve: (question: string) => Promise<void>,
): Promise<RetainResult> {
  if (database.facts.inRecovery) return { rows: [], standby: true };
  const outlooks: Outlook[] = [];
  for (const table of await chooseTables(database, names, options))
    outlooks.push(await lookAt(database.sql, table, options));
  if (options.dryRun) {
    const scripts: string[] = [];
    for (const outlook of outlooks) scripts.push(await renderScript(database.sql, outlook, settings));
    return { rows: outlooks.flatMap(({ rows }) => rows), script: scripts.join(''), standby: false };
  }
  const question = describeDepartures(outlooks);
  if (question) await approve(question);
  const rows: RetainRow[] = [];
  const failures: EduschemaError[] = [];
  for (const outlook of outlooks) {
    try {
      rows.push(...(await retainTable(database, outlook, settings)));
    } catch (error) {
      if (!(error instanceof EduschemaError) || error.code === 'interrupted' || !database.isOpen())
        throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw firstOf(failures);
  return { rows, standby: false };
}

async function retainTable(
  database: Database,
  outlook: Outlook,
  settings: WorkSettings,
): Promise<readonly RetainRow[]> {
  if (!outlook.rows.some(({ next }) => next)) return outlook.rows;
  return withWorker(database, `partitions of ${showName(outlook.table.name)}`, settings, (worker) =>
    retireAll(database, worker, outlook, settings),
  );
}

/** The first error, and below it those of other tables, which were tried all the same. */
function firstOf([first, ...others]: readonly EduschemaError[]): EduschemaError {
  const { code, message, hint, cause, details, excerpt } = first as EduschemaError;
  const lines = [excerpt, ...others.map((error) => error.message)].filter(Boolean);
  return new EduschemaError(code, message, {
    hint,
    cause,
    details,
    excerpt: lines.length > 0 ? lines.join('\n') : undefined,
  });
}

/** Those named, or all of which the comment or the configuration says how long rows are kept: a flag alone is not enough. */
async function chooseTables(
  { sql }: Database,
  names: readonly QualifiedName[],
  { sources }: RetainOptions,
): Promise<PartitionedTable[]> {
  const tables: PartitionedTable[] = [];
  for (const name of names) tables.push(await findPartitionedTable(sql, name));
  if (names.length > 0) return tables;
  const all = await listPartitionedTables(sql);
  const chosen = all.filter((table) => findPolicy(table, { ...sources, flags: {} }).keep !== undefined);
  if (chosen.length > 0) return chosen;
  throw new EduschemaError('usage', 'no table has a policy that says how long its rows are kept', {
    hint: `name the tables: eduschema partitions retain ${all[0]?.name.name ?? '<table>'} --keep 24mo`,
  });
}
