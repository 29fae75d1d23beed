import type { Command } from 'commander';
import { EduschemaError } from '../../../errors.ts';
import type { Report } from '../../../output/report.ts';
import { confirm } from '../../confirm.ts';
import { reportUndo } from '../../dedupe-report.ts';
import { watchMigrations } from '../../migration-report.ts';
import { addWorkOptions, type CommonOptions } from '../../options.ts';
import type { DatabaseContext, Runner } from '../../run.ts';

/** `eduschema dedupe undo` */
export function dedupeUndoCommand(dedupe: Command, runner: Runner): void {
  const command = dedupe
    .command('undo [run]')
    .description('puts back what a run has merged (the last one without a number); asks first')
    .option('-y, --yes', 'do not ask')
    .action(runner.database(() => import('../../../dedupe/undo.ts'), undoRun));
  addWorkOptions(command);
}

async function undoRun(
  { undoDedupe }: typeof import('../../../dedupe/undo.ts'),
  context: DatabaseContext<CommonOptions>,
  run?: string,
): Promise<Report> {
  if (run !== undefined && !/^[1-9]\d*$/.test(run))
    throw new EduschemaError('usage', `${run} is no number of a run`, { hint: 'dedupe has printed it' });
  const wanted = run === undefined ? undefined : Number(run);
  const settings = watchMigrations(context);
  return reportUndo(
    await undoDedupe(context.database, wanted, settings, (question) => confirm(context, question)),
  );
}
