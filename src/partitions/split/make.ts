import { type QualifiedName, quoteName } from '../../db/identifiers.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import { writeMark } from '../comment-mark.ts';
import { type Choices, shown } from '../convert/choices.ts';
import type { TwinMark } from '../convert/memory.ts';
import { twinOf } from '../convert/names.ts';
import type { Prepared } from '../convert/prepare.ts';
import { planned } from '../convert/statements.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { planPartitions, planTwin } from '../convert/twin.ts';
import { bareOf, madeOf } from './bare.ts';
import { createCapture, dropCapture, startCapture, stopCapture } from './capture.ts';
import { changesOf, type Pair } from './pair.ts';
import { beginCopy, createState, dropState } from './run-state.ts';

/** What tells which columns and choices a twin was made from. */
export const splitMark = (table: TableDescription, choices: Choices): TwinMark => ({
  of: shown(table),
  method: choices.method,
  made: madeOf(table, choices),
});

/** Makes all that the conversion needs beside the table: the twin with its partitions, and where changes are noted. */
export function planMake({ table, choices, partitions }: Prepared, pair: Pair): Step {
  const bare = bareOf(table);
  const comment = writeMark(null, 'twin', splitMark(table, choices));
  return {
    title: `make ${shown(twinOf<QualifiedName>(table))} with ${partitions.length} partitions`,
    transaction: true,
    statements: [
      ...planTwin(bare, choices, comment).statements,
      ...planPartitions(bare, partitions).flatMap((step) => step.statements),
      ...createCapture(pair),
      ...createState(table, table.owner),
    ],
  };
}

/** Notes changes of the table from here on. */
export function planCapture(pair: Pair): Step {
  return {
    title: `note what changes in ${shown(pair.from)} from here on`,
    transaction: true,
    statements: [...startCapture(pair), beginCopy(pair.from)],
  };
}

/** Takes everything away again that an unfinished conversion made. The rows of the table were never touched. */
export function planTakeSplitBack(table: QualifiedName, hasTwin = true): Step {
  return {
    title: `take back what a conversion of ${shown(table)} made`,
    transaction: true,
    statements: takeBack(table, hasTwin),
  };
}

function takeBack(table: QualifiedName, hasTwin: boolean): PlannedStatement[] {
  return [
    ...stopCapture(table),
    ...dropCapture(changesOf(table)),
    ...planned(
      'nobody uses it',
      hasTwin ? [`DROP TABLE IF EXISTS ${quoteName(twinOf<QualifiedName>(table))}`] : [],
    ),
    dropState(table),
  ];
}
