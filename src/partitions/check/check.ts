import type { Database } from '../../db/connect.ts';
import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import { checkZone, findPartitionedTable, listPartitionedTables, underUtc } from '../catalogue.ts';
import { type CheckOptions, checkTable } from './check-table.ts';
import type { Finding } from './finding.ts';
import { listUnfinishedConversions } from './unfinished.ts';

/** What a check came to. */
export interface Checked {
  readonly findings: readonly Finding[];
  readonly tables: number;
  readonly partitions: number;
  /** The server follows another one, where what is found is to be put right. */
  readonly isStandby: boolean;
}

/**
 * Looks at tables for what is wrong, or soon will be: those named, or all that are partitioned by time, and those that a
 * conversion left half-way. Reads the catalogue, and of tables what is in the default partition; changes nothing.
 * Throws `table-missing` and `table-unsuitable` for names, and `usage` for a zone that the server does not know.
 */
export async function check(
  { sql, facts }: Database,
  names: readonly QualifiedName[],
  options: CheckOptions,
): Promise<Checked> {
  const { zone } = options.sources.flags ?? {};
  if (zone !== undefined) await checkZone(sql, zone);
  const isWanted = ({ table }: Pick<Finding, 'table'>) =>
    names.length === 0 || names.some((name) => quoteName(name) === quoteName(table));
  const unfinished = (await underUtc(sql, listUnfinishedConversions)).filter(isWanted);
  const isUnfinished = (name: QualifiedName) =>
    unfinished.some(({ table }) => quoteName(table) === quoteName(name));
  const tables = [];
  for (const name of names) if (!isUnfinished(name)) tables.push(await findPartitionedTable(sql, name));
  if (names.length === 0) tables.push(...(await listPartitionedTables(sql)));
  const findings = [...unfinished];
  let partitions = 0;
  for (const table of tables) {
    const checked = await checkTable(sql, facts.versionNumber, table, options);
    findings.push(...checked.findings);
    partitions += checked.partitions;
  }
  return {
    findings,
    tables: tables.length + unfinished.length,
    partitions,
    isStandby: facts.inRecovery,
  };
}
