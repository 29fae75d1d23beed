import { countOf } from '../../../output/duration.ts';
import type { Column, Report } from '../../../output/report.ts';
import type { ForeseenRow } from '../../../seed/foresee.ts';

/** What `seed` would do, as a report. */
export function reportForeseen(rows: readonly ForeseenRow[]): Report {
  const ahead = rows.filter(({ state }) => state === 'to seed');
  const count = ahead.reduce((sum, row) => sum + (row.rows ?? 0), 0);
  const files = ahead.filter(({ table }) => table === null).length;
  const lacking = ahead.filter(({ lacksPartitions }) => lacksPartitions);
  const parts = [
    ...(count > 0 ? [`${count.toLocaleString('en')} ${count === 1 ? 'row' : 'rows'} would be written`] : []),
    ...(files > 0 ? [`${countOf(files, 'file')} would be run`] : []),
  ];
  return {
    columns,
    rows,
    summary: { seeded: 0, rows: count, files },
    message: [
      ...lacking.map(
        ({ table }) =>
          `${table} has no partition for some of these times: the seed makes it first, or nothing is written`,
      ),
      parts.length > 0 ? parts.join(', ') : 'nothing to do: all seeds are there already',
    ].join('\n'),
  };
}

const columns: readonly Column[] = [
  { key: 'table', title: 'table', show: (table: string | null, row: ForeseenRow) => table ?? row.file },
  { key: 'state', title: 'state', colour: (state) => (state === 'to seed' ? undefined : 'gray') },
  {
    key: 'rows',
    title: 'rows',
    align: 'right',
    show: (rows: number | null) => rows?.toLocaleString('en') ?? '',
  },
  {
    key: 'from',
    title: 'times',
    show: (from: string | null, { to }: ForeseenRow) =>
      from === null ? '' : `${from.slice(0, 16)}Z to ${to?.slice(0, 16)}Z`,
  },
  {
    key: 'partitions',
    title: 'partitions that are there',
    show: (names: readonly string[], { lacksPartitions }: ForeseenRow) =>
      [...names.map((name) => name.replace(/^public\./, '')), ...(lacksPartitions ? ['not all'] : [])].join(
        ', ',
      ),
  },
];
