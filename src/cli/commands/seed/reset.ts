import { EduschemaError } from '../../../errors.ts';
import { countOf } from '../../../output/duration.ts';
import type { Report } from '../../../output/report.ts';
import type { SeedSettings } from '../../../seed/settings.ts';
import { confirm } from '../../confirm.ts';
import type { DatabaseContext } from '../../run.ts';
import { givenBy, type SeedCommandOptions } from './options.ts';

/** `eduschema seed --reset` */
export async function resetSeeds(
  context: DatabaseContext<SeedCommandOptions>,
  settings: SeedSettings,
  names: readonly string[],
): Promise<Report> {
  const { options, database } = context;
  if (
    options.append ||
    Object.keys(givenBy(options)).length > 0 ||
    options.seed !== undefined ||
    options.asOf
  )
    throw new EduschemaError('usage', '--reset removes what was seeded, and takes no wishes for new rows', {
      hint: 'run eduschema seed --reset, then eduschema seed with them',
    });
  const { listSeeded, reset } = await import('../../../seed/reset.ts');
  const seeded = await listSeeded(database, settings, names);
  const kept = seeded.files.map((file) => `what ${file} wrote stays: nobody recorded which rows those are`);
  if (options.dryRun)
    return reportRemoved(
      seeded.tables.map(({ table, rows }) => ({ table, removed: rows })),
      'would be removed',
      [
        ...seeded.others.map(
          ({ table, rows, effect }) =>
            `it ${effect} ${rows.toLocaleString('en')} of your own rows in ${table}`,
        ),
        ...kept,
      ],
    );
  if (seeded.tables.length > 0) {
    const tables = seeded.tables
      .map(({ table, rows }) => `${rows.toLocaleString('en')} of ${table}`)
      .join(', ');
    const others = seeded.others
      .map(({ table, rows, effect }) => `${effect} ${rows.toLocaleString('en')} of your own rows in ${table}`)
      .join(', ');
    await confirm(
      context,
      `This removes what was seeded in ${database.facts.database}: ${tables}${others ? `; and with them it ${others}` : ''}.`,
    );
  }
  const rows = await reset(database, settings, names);
  return reportRemoved(rows, 'removed', kept);
}

function reportRemoved(
  rows: readonly { readonly table: string; readonly removed: number }[],
  verb: string,
  warnings: readonly string[],
): Report {
  const removed = rows.reduce((sum, row) => sum + row.removed, 0);
  return {
    columns: [
      { key: 'table', title: 'table' },
      {
        key: 'removed',
        title: verb === 'removed' ? 'removed' : 'rows',
        align: 'right',
        show: (count: number) => count.toLocaleString('en'),
      },
    ],
    rows,
    summary: { removed: verb === 'removed' ? removed : 0, found: removed },
    message:
      rows.length === 0
        ? 'nothing to do: nothing is seeded'
        : `${countOf(removed, 'row').replace(/^\d+/, removed.toLocaleString('en'))} ${verb}`,
    warnings,
  };
}
