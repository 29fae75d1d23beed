import type { Database } from '../../db/connect.ts';
import type { QualifiedName } from '../../db/identifiers.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { findPartitionedTable, listPartitionedTables, type PartitionedTable } from '../catalogue.ts';
import { readPolicy } from '../policy.ts';
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
  for (const outlook of outlooks) {
    if (!outlook.rows.some(({ next }) => next)) {
      rows.push(...outlook.rows);
      continue;
    }
    const subject = `partitions of ${outlook.table.name.schema}.${outlook.table.name.name}`;
    rows.push(
      ...(await withWorker(database, subject, settings, (worker) =>
        retireAll(database, worker, outlook, settings),
      )),
    );
  }
  return { rows, standby: false };
}

/** Those named, or all that have a policy of how long rows are kept. */
async function chooseTables(
  { sql }: Database,
  names: readonly QualifiedName[],
  { keep }: RetainOptions,
): Promise<PartitionedTable[]> {
  const tables: PartitionedTable[] = [];
  for (const name of names) tables.push(await findPartitionedTable(sql, name));
  for (const { name, comment } of tables) {
    if (keep !== undefined || readPolicy(comment).keep !== undefined) continue;
    throw new EduschemaError('usage', `nobody said how long rows of ${name.schema}.${name.name} are kept`, {
      hint: 'add --keep 24mo',
    });
  }
  if (names.length > 0) return tables;
  const all = await listPartitionedTables(sql);
  const chosen = all.filter(({ comment }) => readPolicy(comment).keep !== undefined);
  if (chosen.length > 0) return chosen;
  throw new EduschemaError('usage', 'no table has a policy that says how long its rows are kept', {
    hint: `name the tables: eduschema partitions retain ${all[0]?.name.name ?? '<table>'} --keep 24mo`,
  });
}
