import type { Command } from 'commander';
import { countOf } from '../../output/duration.ts';
import type { Column } from '../../output/report.ts';
import { addDatabaseOptions, type CommonOptions, parseLimit } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

interface Options extends CommonOptions {
  readonly limit?: number;
  readonly exitCode?: boolean;
}

const columns: readonly Column[] = [
  { key: 'rank', title: 'rank', align: 'right' },
  { key: 'title', title: 'title' },
  { key: 'category', title: 'category' },
  { key: 'downloads', title: 'downloads', align: 'right' },
  { key: 'views', title: 'views', align: 'right' },
  { key: 'foundIn', title: 'found in' },
];

const defaultLimit = 20;

/** `eduschema search` */
export function searchCommand(program: Command, runner: Runner): void {
  const command = program
    .command('search <text...>')
    .description('education: materials with a text in title or description, most downloaded first')
    .option('--limit <count>', `show so many (default: ${defaultLimit}; 0: all)`, parseLimit)
    .option('--exit-code', 'exit 1 when nothing is found')
    .action(
      runner.database(
        () => import('../../search/search.ts'),
        async ({ search }, { database, options, settings }: DatabaseContext<Options>, ...words) => {
          const text = words.join(' ');
          const limit = options.limit ?? defaultLimit;
          const rows = await search(database, text, { limit, schema: settings.migrations.schema });
          const more = limit > 0 && rows.length === limit ? '; there may be more (--limit)' : '';
          return {
            columns,
            rows,
            summary: { text, found: rows.length },
            message:
              rows.length === 0
                ? `nothing has "${text}"`
                : `${countOf(rows.length, 'material')} with "${text}"${more}`,
            failing: Boolean(options.exitCode) && rows.length === 0,
          };
        },
      ),
    );
  addDatabaseOptions(command);
}
