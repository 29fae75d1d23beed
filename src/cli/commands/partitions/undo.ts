import type { Command } from 'commander';
import { defaultLockTimeout } from '../../../db/lock-settings.ts';
import { parseName } from '../../../db/parse-name.ts';
import { countOf, showDuration } from '../../../output/duration.ts';
import type { Report } from '../../../output/report.ts';
import type { UndoResult } from '../../../partitions/undo/undo.ts';
import { confirm } from '../../confirm.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions, type CommonOptions } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

interface Options extends CommonOptions {
  readonly dryRun?: boolean;
}

/** `eduschema partitions undo` */
export function partitionsUndoCommand(partitions: Command, runner: Runner): void {
  const command = partitions
    .command('undo <table>')
    .description('make a table that was converted what it was, and keep all rows; asks first')
    .option('-n, --dry-run', 'print the SQL, change nothing')
    .option('-y, --yes', 'do not ask')
    .action(runner.database(load, undoTable));
  addWorkOptions(command);
}

async function load() {
  const [preparing, planning, undoing] = await Promise.all([
    import('../../../partitions/undo/prepare-undo.ts'),
    import('../../../partitions/undo/undo-plan.ts'),
    import('../../../partitions/undo/undo.ts'),
  ]);
  return { ...preparing, ...planning, ...undoing };
}

async function undoTable(
  { prepareUndo, renderUndo, undo }: Awaited<ReturnType<typeof load>>,
  context: DatabaseContext<Options>,
  name = '',
): Promise<Report> {
  const { database, options, settings } = context;
  const table = parseName(name, settings.migrations.schema);
  const prepared = await prepareUndo(database, table);
  if (options.dryRun) {
    const text = await renderUndo(
      database.sql,
      prepared,
      settings.migrations.lockTimeout ?? defaultLockTimeout,
    );
    return { rows: [], summary: {}, text };
  }
  const shown = `${table.schema}.${table.name}`;
  if (prepared.stage === 'unfinished')
    await confirm(context, `The conversion of ${shown} will be taken back.`);
  if (prepared.stage === 'converted')
    await confirm(context, `${shown} will be one table again, with all its rows.`);
  return reportUndo(await undo(database, table, watchMigrations(context)));
}

function reportUndo({ table, steps, moved, lockedMs }: UndoResult): Report {
  const name = `${table.schema}.${table.name}`;
  const rows = moved === 0 ? '' : `; ${countOf(moved, 'row')} moved back`;
  const locked = lockedMs === null ? '' : `; it was locked for ${lockedMs} ms`;
  return {
    columns: [
      { key: 'title', title: 'step' },
      { key: 'durationMs', title: 'time', align: 'right', show: showDuration },
    ],
    rows: steps,
    summary: { table: name, moved, lockedMs },
    message:
      steps.length === 0
        ? `nothing to do: ${name} is not partitioned, and no conversion is under way`
        : `${name} is what it was${rows}${locked}`,
  };
}
