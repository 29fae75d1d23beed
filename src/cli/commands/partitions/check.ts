import type { Command } from 'commander';
import { countOf } from '../../../output/duration.ts';
import type { Column, Report } from '../../../output/report.ts';
import type { Checked } from '../../../partitions/check/check.ts';
import type { Finding } from '../../../partitions/check/finding.ts';
import { parseSpan } from '../../../partitions/period.ts';
import { addDatabaseOptions } from '../../options.ts';
import { addTableOptions, type PolicyOptions, sourcesOf, tablesOf } from '../../partition-options.ts';
import { showTable } from '../../partition-report.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends PolicyOptions {
  readonly runway?: string;
}

/** `eduschema partitions check` */
export function partitionsCheckCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('check [table...]')
    .description('fails when something is wrong with partitions, or soon will be; changes nothing; for cron')
    .option(
      '--runway <length>',
      'how far ahead of today partitions are to reach (default: two thirds of what ensure makes, 2mo)',
    )
    .action(
      runner.database(
        () => import('../../../partitions/check/check.ts'),
        async ({ check }, context: DatabaseContext<Options>, ...tables) => {
          const { runway, quiet } = context.options;
          const span = runway === undefined ? undefined : parseSpan(runway, '--runway');
          const options = { sources: sourcesOf(context), runway: span };
          return reportChecked(await check(context.database, tablesOf(context, tables), options), quiet);
        },
      ),
    );
  addDatabaseOptions(addTableOptions(command));
}

const columns: readonly Column[] = [
  { key: 'code', title: 'finding' },
  {
    key: 'table',
    title: 'at',
    show: (table: Finding['table'], { partition }: Finding) => showTable(partition ?? table),
  },
  { key: 'message', title: 'what it is' },
];

/** As many lines as a person reads. */
const shown = 40;

function reportChecked({ findings, tables, partitions, isStandby }: Checked, quiet?: boolean): Report {
  const looked = `${countOf(tables, 'table')} with ${countOf(partitions, 'partition')}`;
  const concerned = new Set(findings.map(({ table }) => showTable(table))).size;
  const where = isStandby ? ' (this server is a standby: on the one that it follows)' : '';
  const hints = hintsOf(findings.slice(-shown)).map((hint) => `\n  ${hint}`);
  return {
    columns,
    rows: findings,
    shown,
    summary: { findings: findings.length, tables, partitions, standby: isStandby },
    message:
      findings.length > 0
        ? `${countOf(findings.length, 'finding')} at ${countOf(concerned, 'table')}; looked at ${looked}\nwhat to do${where}:${hints.join('')}`
        : quiet
          ? undefined
          : `nothing found: looked at ${looked}`,
    failing: findings.length > 0,
  };
}

const mostHints = 3;

/** What to type, once each; of many of a kind the first ones. */
function hintsOf(findings: readonly Finding[]): string[] {
  return [...new Set(findings.map(({ code }) => code))].flatMap((code) => {
    const hints = [...new Set(findings.filter((one) => one.code === code).map(({ hint }) => hint))];
    const left = hints.length - mostHints;
    const more = left > 0 ? [`${code}: ${left} more of the kind, which --json has`] : [];
    return [...hints.slice(0, mostHints).map((hint) => `${code}: ${hint}`), ...more];
  });
}
