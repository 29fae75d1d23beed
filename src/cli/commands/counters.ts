import type { Command } from 'commander';
import type { LowCounter, Uncounted } from '../../counters/queries.ts';
import type { CountersReport } from '../../counters/verify.ts';
import { countOf } from '../../output/duration.ts';
import type { Column, Report } from '../../output/report.ts';
import { confirm } from '../confirm.ts';
import { watchMigrations } from '../migration-report.ts';
import { addDatabaseOptions, addWorkOptions, type CommonOptions } from '../options.ts';
import type { DatabaseContext, Runner } from '../run.ts';

interface RebuildOptions extends CommonOptions {
  readonly dryRun?: boolean;
}

/** `eduschema counters verify` and `rebuild` */
export function countersCommand(program: Command, runner: Runner): void {
  const noun = program
    .command('counters')
    .description("the materials' download and view counts against the logs");
  const verify = noun
    .command('verify')
    .description('fails when a counter is lower than its logs, or nothing counts them')
    .action(
      runner.database(
        () => import('../../counters/verify.ts'),
        async ({ verifyCounters }, context: DatabaseContext<CommonOptions>) =>
          reportFound(await verifyCounters(context.database, schemaOf(context))),
      ),
    );
  addDatabaseOptions(verify);
  const rebuild = noun
    .command('rebuild')
    .description('raises the counters that are lower than their logs; lowers none; asks first')
    .option('-n, --dry-run', 'show what would be raised')
    .option('-y, --yes', 'do not ask')
    .action(
      runner.database(
        async () => ({
          ...(await import('../../counters/verify.ts')),
          ...(await import('../../counters/rebuild.ts')),
        }),
        async ({ verifyCounters, rebuildCounters }, context: DatabaseContext<RebuildOptions>) => {
          const schema = schemaOf(context);
          if (context.options.dryRun) {
            const found = await verifyCounters(context.database, schema);
            return reportRaised(found.low, 'would be raised');
          }
          const raised = await rebuildCounters(context.database, schema, watchMigrations(context), (found) =>
            confirm(context, `${describe(found.low)} are raised to their logs.`),
          );
          return reportRaised(raised, 'raised');
        },
      ),
    );
  addWorkOptions(rebuild);
}

const schemaOf = ({ settings }: DatabaseContext<CommonOptions>) => settings.migrations.schema ?? 'public';

const describe = (low: readonly LowCounter[]) =>
  `${countOf(low.length, 'counter')} of ${countOf(new Set(low.map(({ id }) => id)).size, 'material')}`;

function reportFound({ low, uncounted, logs, materials }: CountersReport): Report {
  const missing = low.reduce((sum, counter) => sum + counter.missing, 0);
  const compared = `${countOf(logs, 'log')} of ${countOf(materials, 'material')} compared`;
  return {
    columns,
    rows: low,
    shown: 40,
    summary: { low: low.length, missing, logs, materials, uncounted },
    message:
      low.length === 0
        ? `no counter is lower than its logs; ${compared}`
        : `${describe(low)} are too low, by ${missing} in all; ${compared}\nraise them: eduschema counters rebuild`,
    warnings: uncounted.map(describeUncounted),
    failing: low.length > 0 || uncounted.length > 0,
  };
}

function describeUncounted({ logs, trigger, problem }: Uncounted): string {
  return problem === 'missing'
    ? `${logs} has no trigger ${trigger}: nothing that is inserted there is counted`
    : `the trigger ${trigger} of ${logs} is off: ALTER TABLE ${logs} ENABLE TRIGGER ${trigger}`;
}

function reportRaised(low: readonly LowCounter[], verb: string): Report {
  return {
    columns,
    rows: low,
    shown: 40,
    summary: { raised: verb === 'raised' ? low.length : 0, low: low.length },
    message: low.length === 0 ? 'no counter is lower than its logs' : `${describe(low)} ${verb}`,
  };
}

const columns: readonly Column[] = [
  { key: 'id', title: 'material' },
  { key: 'counter', title: 'counter' },
  { key: 'count', title: 'is', align: 'right' },
  { key: 'logs', title: 'logs', align: 'right' },
  { key: 'missing', title: 'too low by', align: 'right' },
];
