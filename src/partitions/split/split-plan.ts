import type { Sql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import { type PlannedStatement, renderPlan, type Step } from '../../db/plan.ts';
import { shown } from '../convert/choices.ts';
import { incomingOf, outgoingOf, validateIncoming } from '../convert/incoming.ts';
import { describeViews, type MaterializedView, planViews } from '../convert/materialized.ts';
import { twinOf } from '../convert/names.ts';
import { listNotices } from '../convert/notices.ts';
import type { Prepared } from '../convert/prepare.ts';
import { planned } from '../convert/statements.ts';
import { asideOfSplit } from './after-swap.ts';
import { planDress } from './dress.ts';
import { columnList } from './key.ts';
import { type BuiltIndexes, hasIndexes, listLeaves, planLeafIndexes, planTwinIndexes } from './leaves.ts';
import { planCapture, planMake, planTakeSplitBack } from './make.ts';
import { planForeignKeys, planLeafValidation } from './outgoing.ts';
import { findPair, type Pair } from './pair.ts';
import { replayStatements } from './replay.ts';
import { enter, type Phase, type RunState, readState, stateTableOf } from './run-state.ts';
import { planSplitSwap } from './split-swap.ts';
import { listStatistics } from './statistics.ts';

/** What a plan needs beside what was prepared. */
export interface SplitFacts {
  readonly pair: Pair;
  /** Undefined for a conversion that has not begun. */
  readonly run: RunState | undefined;
  readonly leaves: readonly QualifiedName[];
  readonly statistics: readonly QualifiedName[];
  readonly views: readonly MaterializedView[];
}

const order: readonly Phase[] = ['capture', 'copy', 'index', 'swap'];

/** The plan as SQL that psql runs, below what changes for those who use the table. */
export async function renderSplit(sql: Sql, prepared: Prepared, lockTimeout: string): Promise<string> {
  const { table, choices } = prepared;
  const to = twinOf<QualifiedName>(table);
  const facts = {
    pair: await findPair(sql, { from: table, to, partitionColumn: choices.column }),
    run: await readState(sql, table),
    leaves: await listLeaves(sql, to),
    statistics: await listStatistics(sql, to),
    views: await describeViews(sql, table),
  };
  const notices = [...listNotices(table, choices), ...listCopyNotices(prepared)].map(
    (notice) => `-- ${notice}`,
  );
  return [...notices, '', renderPlan(planSplit(prepared, facts), lockTimeout)].join('\n');
}

/** What copying means for those who use the table and who pay for the disk. */
export function listCopyNotices({ table, size }: Prepared): string[] {
  const old = asideOfSplit(table).name;
  return [
    ...(size
      ? [`its rows are copied, which needs as much disk again (${size}), and as much in the log`]
      : []),
    `until it is done each write is noted, some 50 bytes a row; ${old} stays, and so do the notes, until undo or --finish`,
  ];
}

/** The steps of a split that remain, as they will be carried out unless somebody changes the table meanwhile. */
export function planSplit(prepared: Prepared, { pair, run, leaves, statistics, views }: SplitFacts): Step[] {
  const { table, choices, state, partitions } = prepared;
  const isMade = run !== undefined && partitions.length === 0;
  const isBehind = (phase: Phase) => isMade && order.indexOf(run.phase) > order.indexOf(phase);
  const all = isMade ? leaves : partitions.map(({ name }) => name);
  const built: BuiltIndexes = isMade ? run.indexes : {};
  const { locks, work } = planSplitSwap(table, choices, all, pair);
  return [
    ...(!isMade && (run || state.twin) ? [planTakeSplitBack(table)] : []),
    ...(isMade ? [] : [planMake(prepared, pair)]),
    ...(isBehind('capture') ? [] : [planCapture(pair)]),
    ...(isBehind('copy') ? [] : [planCopy(pair)]),
    ...(isBehind('index')
      ? []
      : all
          .filter((leaf) => !run?.done.includes(leaf.name))
          .map((leaf) => planLeafIndexes(table, choices, leaf, pair))),
    ...(isBehind('index') && hasIndexes(table, built) ? [] : [planTwinIndexes(table, choices, built)]),
    planFollow(pair),
    {
      title: `analyze ${shown(pair.to)} and its partitions`,
      transaction: false,
      statements: planned('the first query after the swap is to be planned well', [
        `ANALYZE ${quoteName(pair.to)}`,
      ]),
    },
    planDress(table, all, statistics),
    planCompare(pair),
    {
      title: `put the twin in the place of ${shown(table)}`,
      transaction: true,
      statements: [...locks, ...replayStatements(pair), ...work],
    },
    ...(outgoingOf(table).length > 0 ? all.map((leaf) => planLeafValidation(table, leaf)) : []),
    planForeignKeys(table),
    ...incomingOf(table, choices).followed.map((key) => ({
      title: `look at ${key.name} of ${shown(key.table)}`,
      transaction: false,
      statements: [validateIncoming(key)],
    })),
    ...planViews(views),
  ];
}

/** The copy as one statement that psql runs, a transaction a batch. */
function planCopy({ from, to, columns }: Pair): Step {
  const state = quoteName(stateTableOf(from));
  const list = columnList(columns);
  const next = enter(from, 'index');
  // The table may have columns of any name.
  const sql = `DO $copy$
#variable_conflict use_column
<<copying>>
DECLARE
  start bigint;
  stop bigint;
BEGIN
  LOOP
    SELECT s.block, least(s.block + 512, s.end_block) INTO copying.start, copying.stop FROM ${state} AS s;
    EXIT WHEN copying.start >= copying.stop;
    INSERT INTO ${quoteName(to)} (${list}) OVERRIDING SYSTEM VALUE
    SELECT ${list} FROM ONLY ${quoteName(from)} WHERE ctid >= format('(%s,0)', copying.start)::tid AND ctid < format('(%s,0)', copying.stop)::tid;
    UPDATE ${state} SET block = copying.stop;
    COMMIT;
  END LOOP;
END
$copy$`;
  return {
    title: `copy the rows of ${shown(from)}`,
    transaction: false,
    statements: [
      {
        sql,
        why: 'batch by batch, in the order of the disk; people read and write meanwhile, and no row is locked',
        locks: [`ACCESS SHARE on ${shown(from)}`],
        waitsFor: 'nobody but those who alter the table',
      },
      next,
    ],
  };
}

/** What is noted by now, made good in one go. */
function planFollow(pair: Pair): Step {
  const snapshot: PlannedStatement = {
    sql: 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
    why: 'all statements see the same',
  };
  return {
    title: `make good what changed in ${shown(pair.from)} (eduschema does it again until little is left)`,
    transaction: true,
    statements: [snapshot, ...replayStatements(pair)],
  };
}

/** The comparison, in a form that a person reads: eduschema compares by period, and leaves out what is noted. */
function planCompare({ from, to, columns }: Pair): Step {
  const sums = (table: QualifiedName) =>
    `SELECT ${quoteLiteral(shown(table))} AS "table", count(*) AS rows, sum(h) AS sum, bit_xor(h) AS xor
FROM (SELECT hashtextextended(ROW(${columnList(columns)})::text, 0) AS h FROM ${quoteName(table)}) AS q`;
  return {
    title: `compare ${shown(from)} and ${shown(to)} (eduschema does it by period, and again after the swap)`,
    transaction: false,
    statements: planned(
      'counts and checksums, in one snapshot; not swapped when they differ',
      [`${sums(from)} UNION ALL ${sums(to)}`],
      { waitsFor: 'nobody' },
    ),
  };
}
