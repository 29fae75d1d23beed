import { EduschemaError } from '../../../errors.ts';
import { countOf } from '../../../output/duration.ts';
import type { Report } from '../../../output/report.ts';
import type { SeedSettings } from '../../../seed/seed.ts';
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
  const removed = rows.reduce((sum, row) => sum + row.removed, 0);
  return {
    columns: [
      { key: 'table', title: 'table' },
      {
        key: 'removed',
        title: 'removed',
        align: 'right',
        show: (count: number) => count.toLocaleString('en'),
      },
    ],
    rows,
    summary: { removed },
    message:
      rows.length === 0
        ? 'nothing to do: nothing is seeded'
        : `${countOf(removed, 'row').replace(/^\d+/, removed.toLocaleString('en'))} removed`,
    warnings: seeded.files.map((file) => `what ${file} wrote stays: nobody recorded which rows those are`),
  };
}
