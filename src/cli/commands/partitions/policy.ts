import type { Command } from 'commander';
import type { Column, Report } from '../../../output/report.ts';
import type { TablePolicy } from '../../../partitions/set-policy.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions } from '../../options.ts';
import {
  addPolicyOptions,
  flagsOf,
  type PolicyOptions,
  sourcesOf,
  tablesOf,
  withWholePath,
} from '../../partition-options.ts';
import { showTable } from '../../partition-report.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

/** `eduschema partitions policy` */
export function partitionsPolicyCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('policy [table...]')
    .description("show what counts for a table; with options, write them into the table's comment")
    .option('--ahead <length>', 'how far ahead partitions are made: 3mo')
    .option('--keep <length>', 'how long rows are kept: 24mo')
    .option('--archive <folder>', 'folder for what is retired')
    .option('--grace <length>', 'how long a retired table stays beside its archive: 7d')
    .action(
      runner.database(
        () => import('../../../partitions/set-policy.ts'),
        async ({ listPolicies, setPolicy }, context: DatabaseContext<PolicyOptions>, ...names) => {
          const tables = tablesOf(context, names);
          const flags = flagsOf(withWholePath(context).options);
          const sources = { ...sourcesOf(context), flags: {} };
          if (Object.keys(flags).length > 0)
            await setPolicy(context.database, tables, flags, watchMigrations(context));
          return reportPolicies(await listPolicies(context.database, tables, sources));
        },
      ),
    );
  addWorkOptions(addPolicyOptions(command));
}

const columns: readonly Column[] = [
  { key: 'table', title: 'table', show: showTable },
  { key: 'zone', title: 'zone', show: said('zone') },
  { key: 'unit', title: 'unit', show: said('unit') },
  { key: 'ahead', title: 'ahead', show: said('ahead') },
  { key: 'keep', title: 'keep', show: said('keep') },
  { key: 'archive', title: 'archive', show: said('archive') },
  { key: 'grace', title: 'grace', show: said('grace') },
];

/** A value with who said it, unless it was the table's own comment. */
function said(name: keyof TablePolicy['origins']) {
  return (value: string | null, { origins }: TablePolicy) => {
    const origin = origins[name];
    if (value === null) return '';
    return origin === 'comment' || origin === undefined ? value : `${value} (${origin})`;
  };
}

function reportPolicies(rows: readonly TablePolicy[]): Report {
  return {
    columns,
    rows,
    summary: { tables: rows.length },
    message: rows.length === 0 ? 'no table is partitioned by a time' : undefined,
  };
}
