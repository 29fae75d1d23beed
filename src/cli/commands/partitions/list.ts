import type { Command } from 'commander';
import { countOf } from '../../../output/duration.ts';
import type { Column, Report } from '../../../output/report.ts';
import type { ListedPartition } from '../../../partitions/list.ts';
import { addDatabaseOptions } from '../../options.ts';
import { addTableOptions, type PolicyOptions, sourcesOf, tablesOf } from '../../partition-options.ts';
import { showMidnight, showTable } from '../../partition-report.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

/** `eduschema partitions list` */
export function partitionsListCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('list [table...]')
    .description('each partition with its bounds, rows, size and what is wrong with it')
    .action(
      runner.database(
        () => import('../../../partitions/list.ts'),
        async ({ listAll }, context: DatabaseContext<PolicyOptions>, ...tables) =>
          reportPartitions(await listAll(context.database, tablesOf(context, tables), sourcesOf(context))),
      ),
    );
  addDatabaseOptions(addTableOptions(command));
}

const columns: readonly Column[] = [
  { key: 'partition', title: 'partition', show: showTable },
  { key: 'from', title: 'from', show: showFrom },
  { key: 'to', title: 'to', show: showTo },
  { key: 'rows', title: 'rows', align: 'right', show: showRows },
  { key: 'bytes', title: 'size', align: 'right', show: showBytes },
  { key: 'note', title: '' },
];

function showFrom(from: string | null, { isDefault }: ListedPartition): string {
  return from === null && !isDefault ? 'the beginning' : showMidnight(from);
}

function showTo(to: string | null, { isDefault }: ListedPartition): string {
  return to === null && !isDefault ? 'the end' : showMidnight(to);
}

function showRows(rows: number | null): string {
  return rows === null ? '?' : `~${Math.round(rows).toLocaleString('en')}`;
}

/** As PostgreSQL's pg_size_pretty: powers of 1,024. */
function showBytes(bytes: number): string {
  const names = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(names.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power > 1 ? 1 : 0)} ${names[power]}`;
}

function noteOf({ isDefault, detachPending, missingIndexes }: ListedPartition): string {
  return [
    isDefault && 'default',
    detachPending && 'detach pending',
    missingIndexes.length > 0 && `no valid index for ${missingIndexes.join(', ')}`,
  ]
    .filter(Boolean)
    .join('; ');
}

function reportPartitions(rows: readonly ListedPartition[]): Report {
  const tables = new Set(rows.map(({ table }) => showTable(table))).size;
  return {
    columns,
    rows: rows.map((row) => ({ ...row, note: noteOf(row) })),
    summary: { tables, partitions: rows.length },
    message:
      rows.length === 0
        ? 'no table is partitioned by a time; make one so: eduschema partitions convert <table> --by <column>'
        : `${countOf(rows.length, 'partition')} of ${countOf(tables, 'table')}; rows are estimates of the last ANALYZE`,
  };
}
