import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteName } from '../db/identifiers.ts';
import { dedupeLog } from '../db/own-tables.ts';
import type { DedupeRun } from './journal.ts';
import type { TableFacts } from './table-facts.ts';
import { type Back, settleChanged, undoChanged } from './undo-changed.ts';
import { undoMoved } from './undo-moved.ts';
import { undoRemoved } from './undo-removed.ts';
import { createUndoTally, type UndoTally } from './undo-tally.ts';

/** A step of the log that is being undone. */
export interface UndoStep {
  readonly sql: TransactionSql;
  readonly run: DedupeRun;
  /** As they are now, by their numbers. */
  readonly tables: readonly (TableFacts | undefined)[];
  /** The log, as SQL. */
  readonly log: string;
  /** A condition on the log, `l`, for the rows of the step. */
  readonly where: string;
  readonly step: number;
  /** A table's number, or of `moved` a reference's. */
  readonly target: number;
  readonly tally: UndoTally;
}

/**
 * Undoes a batch in the transaction of `sql`, its last step first. What could not be put back stays in the log, with why.
 * `atOnce` asks deferred constraints with each step, so that it is known which row they stand against.
 */
export async function undoBatch(
  sql: TransactionSql,
  {
    journal,
    run,
    tables,
  }: { readonly journal: QualifiedName; readonly run: DedupeRun; readonly tables: UndoStep['tables'] },
  batch: number,
  atOnce: boolean,
): Promise<UndoTally> {
  const log = quoteName(dedupeLog(journal));
  const tally = createUndoTally(run.targets);
  const backs: Back[] = [];
  const steps = await sql.unsafe<{ step: number; op: 'moved' | 'removed' | 'changed'; target: number }[]>(
    `SELECT DISTINCT step, op, target FROM ${log} WHERE run = ${run.run} AND batch = ${batch} AND problem IS NULL ORDER BY step DESC`,
  );
  if (atOnce) await sql.unsafe('SET CONSTRAINTS ALL IMMEDIATE');
  for (const { step, op, target } of steps) {
    const where = `l.run = ${run.run} AND l.batch = ${batch} AND l.step = ${step} AND l.problem IS NULL`;
    const one: UndoStep = { sql, run, tables, log, where, step, target, tally };
    if (op === 'moved') await undoMoved(one);
    else if (op === 'removed') backs.push(...(await undoRemoved(one)));
    else backs.push(...(await undoChanged(one)));
  }
  await sql.unsafe('SET CONSTRAINTS ALL IMMEDIATE');
  for (const back of backs) {
    const { columns, rows } = await settleChanged(sql, back);
    tally.addProblem(back.target, `have another ${columns.join(', ')}, which a trigger sets`, rows);
  }
  return tally;
}
