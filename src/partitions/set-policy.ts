import type { Database } from '../db/connect.ts';
import { type QualifiedName, quoteLiteral, quoteName, showName } from '../db/identifiers.ts';
import type { WorkSettings } from '../db/work-settings.ts';
import { withWorker } from '../db/worker.ts';
import { EduschemaError } from '../errors.ts';
import { checkZone, findPartitionedTable, listPartitionedTables, listPartitions } from './catalogue.ts';
import { type EffectivePolicy, findPolicy, type PolicySources, textOf } from './effective-policy.ts';
import { changePolicy, type Policy, writePolicy } from './policy.ts';

/** The policy that counts for a table, and who said each part of it. Spans are as `parseSpan` reads them. */
export interface TablePolicy extends Pick<EffectivePolicy, 'origins'> {
  readonly table: QualifiedName;
  readonly zone: string | null;
  readonly unit: string | null;
  readonly ahead: string | null;
  readonly keep: string | null;
  readonly archive: string | null;
  readonly grace: string | null;
}

/** The policies of the tables named, or of all that are partitioned by a time. */
export async function listPolicies(
  { sql }: Database,
  names: readonly QualifiedName[],
  sources: PolicySources,
): Promise<TablePolicy[]> {
  const tables = [];
  for (const name of names) tables.push(await findPartitionedTable(sql, name));
  if (names.length === 0) tables.push(...(await listPartitionedTables(sql)));
  const rows: TablePolicy[] = [];
  for (const table of tables) {
    const { zone } = findPolicy(table, sources);
    const policy = findPolicy(table, sources, await listPartitions(sql, table, zone));
    const { ahead = null, keep = null, archive = null, grace = null } = textOf(policy);
    const { unit = null, origins } = policy;
    rows.push({ table: table.name, zone: policy.zone, unit, ahead, keep, archive, grace, origins });
  }
  return rows;
}

/**
 * Writes what is given into the comments of the tables; what is there already, and what people wrote, stays. Throws
 * `usage` without a table, and for a zone that the server does not know.
 */
export async function setPolicy(
  database: Database,
  names: readonly QualifiedName[],
  given: Partial<Policy>,
  settings: WorkSettings,
): Promise<void> {
  if (names.length === 0)
    throw new EduschemaError('usage', 'a policy is written for the tables that are named, and none is', {
      hint: 'eduschema partitions policy <table> --keep 24mo; for all tables: partitions in the configuration',
    });
  if (given.zone !== undefined) await checkZone(database.sql, given.zone);
  for (const name of names) await findPartitionedTable(database.sql, name);
  for (const name of names) {
    const shown = showName(name);
    await withWorker(database, `partitions of ${name.schema}.${name.name}`, settings, async (worker) => {
      const { comment } = await findPartitionedTable(worker.session.sql, name);
      const policy = changePolicy(comment, given, shown);
      await worker.carryOut({
        title: `write the policy of ${shown}`,
        transaction: true,
        statements: [
          {
            sql: `COMMENT ON TABLE ${quoteName(name)} IS ${quoteLiteral(writePolicy(comment, policy))}`,
            why: 'the policy stands in the comment',
            locks: [`SHARE UPDATE EXCLUSIVE on ${shown}`],
          },
        ],
      });
    });
  }
}
