import type { TransactionSql } from 'postgres';
import type { Database } from '../../db/connect.ts';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import type { Step } from '../../db/plan.ts';
import type { WorkSettings } from '../../db/work-settings.ts';
import { type Worker, withWorker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { underUtc } from '../catalogue.ts';
import { planDropProof, planDropWide } from '../convert/attach-steps.ts';
import { type Build, buildIndex } from '../convert/build-index.ts';
import { shown } from '../convert/choices.ts';
import { subjectOf } from '../convert/convert.ts';
import { describeTable } from '../convert/describe-table.ts';
import { finishTable, renewViews } from '../convert/finish.ts';
import { isSame, putIncoming } from '../convert/incoming.ts';
import { createIndex } from '../convert/keys.ts';
import { twinOf } from '../convert/names.ts';
import { findState } from '../convert/state.ts';
import { planned } from '../convert/statements.ts';
import { createSteps, type DoneStep, type Steps } from '../convert/steps.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { findVersion } from '../convert/table-version.ts';
import { planDropTwin } from '../convert/twin.ts';
import { planTakeSplitBack } from '../split/make.ts';
import { goBackFromSplit } from '../split/undo-split.ts';
import { checkDuplicates } from './check-duplicates.ts';
import { moveRows } from './move-rows.ts';
import { type Converted, type PreparedUndo, prepareUndo } from './prepare-undo.ts';
import { proveBack } from './prove-back.ts';
import { planSwapBack } from './swap-back.ts';
import { findIndexPairs, listMoving, listNewer } from './undo-facts.ts';

/** What an undo came to. */
export interface UndoResult {
  readonly table: QualifiedName;
  readonly steps: readonly DoneStep[];
  /** Rows that were moved back to the table. */
  readonly moved: number;
  readonly lockedMs: number | null;
}

const mostTries = 5;

/**
 * Makes a table what it was before it was converted, from wherever an earlier run left it: rows that came since then stay.
 * Throws what `prepareUndo` throws, `table-unsuitable` when the table as it was cannot take the rows, `table-changed`, and
 * what the worker throws. What is done stays, and another run goes on.
 */
export async function undo(
  database: Database,
  name: QualifiedName,
  settings: WorkSettings,
): Promise<UndoResult> {
  return withWorker(database, subjectOf(name), settings, async (worker) => {
    const steps = createSteps(settings, 3);
    let [lockedMs, moved] = [null as number | null, 0];
    for (let tries = 1; ; tries++) {
      const prepared = await prepareUndo(worker.session, name);
      if (prepared.stage === 'nothing') break;
      if (prepared.stage === 'unfinished') {
        await takeBack(worker, prepared, steps);
        break;
      }
      if (prepared.stage === 'back') {
        moved += await tidyUp(worker, prepared, steps, settings);
        break;
      }
      lockedMs = (await goBack(worker, prepared, steps, settings)) ?? lockedMs;
      if (tries > mostTries)
        throw new EduschemaError('table-changed', `${shown(name)} was changed ${mostTries} times meanwhile`, {
          hint: 'run the command again when nobody changes its definition',
        });
    }
    return { table: name, steps: steps.done, moved, lockedMs };
  });
}

type Stage<Name extends PreparedUndo['stage']> = Extract<PreparedUndo, { readonly stage: Name }>;

/** The steps that take a conversion back whose twin did not come into its place: first what refuses rows. */
export function planTakeBack({ table, state, isSplit }: Stage<'unfinished'>): Step[] {
  if (isSplit) return [planTakeSplitBack(table, state.twin?.mark !== undefined)];
  return [
    ...(state.proof ? [planDropProof(table)] : []),
    ...state.wide.map(({ name }) => planDropWide(table, name)),
    ...(state.twin?.mark ? [planDropTwin(table)] : []),
  ];
}

async function takeBack(worker: Worker, prepared: Stage<'unfinished'>, steps: Steps): Promise<void> {
  for (const step of planTakeBack(prepared)) await steps.run(step.title, () => worker.carryOut(step));
}

/** Builds the unique indexes that were dropped, under names for the time being. */
export function planLost({ old, memory }: Converted, isThere: (name: string) => boolean): Build[] {
  return memory.lost
    .filter((index) => !isThere(twinOf(index.name)))
    .map((index) => ({
      name: twinOf(index.name),
      step: {
        title: `build ${index.name} again, over the rows of ${shown(old)}`,
        transaction: false,
        statements: planned(
          'unique as it was; people read and write meanwhile',
          [createIndex(index, twinOf(index.name), old, true)],
          {
            locks: [`SHARE UPDATE EXCLUSIVE on ${shown(old)}`],
            waitsFor: 'every transaction that is older, to the end of it; keeps nobody waiting',
          },
        ),
      },
    }));
}

/** To the moment that the old table is in its place. Null when somebody changed it meanwhile: then it is to be prepared again. */
async function goBack(
  worker: Worker,
  prepared: Converted,
  steps: Steps,
  settings: WorkSettings,
): Promise<number | null> {
  const { sql } = worker.session;
  const { table, old, memory, split } = prepared;
  if (split) return goBackFromSplit(worker, { ...prepared, filled: [] }, split, steps);
  const { wide } = await underUtc(sql, (inside) => findState(inside, old));
  for (const { name, valid } of wide)
    if (!valid) {
      const step = planDropWide(old, name);
      await steps.run(step.title, () => worker.carryOut(step));
    }
  for (const build of planLost(prepared, (name) => wide.some((index) => index.name === name && index.valid)))
    await buildLost(worker, prepared, build, steps, settings);
  const newer = prepared.newer.filter(({ hasRows }) => hasRows).map((partition) => partition.name);
  await checkDuplicates(worker, table, old, { lost: memory.lost, newer });
  const title = `put ${shown(old)} back in the place of ${shown(table)}`;
  return steps.run(title, () => swapBack(worker, title, prepared));
}

async function buildLost(
  worker: Worker,
  { old, table }: Converted,
  build: Build,
  steps: Steps,
  settings: WorkSettings,
): Promise<void> {
  try {
    await buildIndex(worker, old, build, steps, settings);
  } catch (error) {
    if (!(error instanceof EduschemaError) || error.details?.sqlstate !== '23505') throw error;
    const { wide } = await underUtc(worker.session.sql, (inside) => findState(inside, old));
    for (const { name, valid } of wide) if (!valid) await worker.carryOut(planDropWide(old, name));
    throw new EduschemaError(
      'table-unsuitable',
      `${shown(table)} as it was cannot take the rows that it has now`,
      {
        excerpt: error.excerpt,
        hint: 'change or delete one of the rows that are there twice, and run the command again; nothing was changed',
        cause: error.cause,
      },
    );
  }
}

async function swapBack(
  worker: Worker,
  title: string,
  { table, old, memory }: Converted,
): Promise<number | null> {
  const { sql } = worker.session;
  const { versionNumber } = worker.session.facts;
  const early = await sql.begin('ISOLATION LEVEL REPEATABLE READ READ ONLY', async (inside) => ({
    table: await describeTable(inside, table, versionNumber),
    old: await describeTable(inside, old, versionNumber),
    pairs: await findIndexPairs(inside, table, old.oid),
    versions: await findVersions(inside, [table, old]),
  }));
  const found = early.table && early.old ? { table: early.table, old: early.old } : undefined;
  if (!found || found.table.oid !== table.oid || found.old.oid !== old.oid) return null;
  const back = { ...found, pairs: early.pairs, memory };
  const { locks } = planSwapBack({ ...back, filled: [] });
  return worker.transaction(title, async (inside) => {
    await inside.unsafe(
      `SET LOCAL search_path = ''; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL row_security = off`,
    );
    await worker.together(inside, title, locks);
    const lockedAt = performance.now();
    if ((await findVersions(inside, [table, old])) !== early.versions) return null;
    const filled = (await listNewer(inside, table, old.oid)).filter(({ hasRows }) => hasRows);
    await worker.together(inside, title, planSwapBack({ ...back, filled }).work);
    await proveBack(inside, found.table, found.old);
    return Math.round(performance.now() - lockedAt);
  });
}

async function findVersions(sql: TransactionSql, tables: readonly TableDescription[]): Promise<string> {
  const versions = [];
  for (const { oid } of tables) versions.push(await findVersion(sql, oid));
  return versions.join(' ');
}

/** What remains when the old table is in its place: views, rows of other partitions, foreign keys of others. */
async function tidyUp(
  worker: Worker,
  { table, mark }: Stage<'back'>,
  steps: Steps,
  settings: WorkSettings,
): Promise<number> {
  const { sql } = worker.session;
  await renewViews(worker, twinOf<QualifiedName>(table), mark.left?.materializedViews ?? [], steps);
  let moved = 0;
  for (const child of await listMoving(sql, table))
    moved += await steps.run(`move the rows of ${shown(child)} back`, () =>
      moveRows(worker, table, child, settings),
    );
  for (const key of mark.left?.incoming ?? []) {
    const isThere = table.incomingKeys.some(
      ({ name, table: other }) => name === key.name && isSame(other, key.table),
    );
    const [other] = await sql`SELECT to_regclass(${quoteName(key.table)}) IS NOT NULL AS there`;
    if (isThere || !other?.there) continue;
    const title = `${key.name} of ${shown(key.table)} references ${shown(table)} again`;
    await steps.run(title, () =>
      worker.carryOut({ title, transaction: true, statements: putIncoming(table, [key]) }),
    );
  }
  for (const { name, validated } of table.foreignKeys) {
    if (validated) continue;
    const title = `look at ${name} of ${shown(table)}`;
    await steps.run(title, () =>
      worker.alone(title, `ALTER TABLE ${quoteName(table)} VALIDATE CONSTRAINT ${quoteIdentifier(name)}`),
    );
  }
  await finishTable(worker, table, steps);
  const step = planDropTwin(table);
  await steps.run(step.title, () => worker.carryOut(step));
  return moved;
}
