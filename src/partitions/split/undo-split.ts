import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteIdentifier, quoteName } from '../../db/identifiers.ts';
import { inTransaction } from '../../db/in-transaction.ts';
import type { PlannedStatement, Step } from '../../db/plan.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { shown } from '../convert/choices.ts';
import { describeTable } from '../convert/describe-table.ts';
import { planned } from '../convert/statements.ts';
import type { Steps } from '../convert/steps.ts';
import type { Swap } from '../convert/swap.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { findVersion } from '../convert/table-version.ts';
import { planSwapBack, type SwapBack } from '../undo/swap-back.ts';
import type { Split } from './after-swap.ts';
import { createCapture, dropCapture, startCapture, stopCapture } from './capture.ts';
import { columnList, withoutKey } from './key.ts';
import { forbiddingOf } from './outgoing.ts';
import type { Pair } from './pair.ts';
import { proveSplit } from './prove-split.ts';
import { catchUp, replaySome } from './replay.ts';
import { dropState } from './run-state.ts';
import { isBehind, isCaptured } from './split-swap.ts';

/**
 * The old table takes its place again, between locks and work the last changes are made good in it. Foreign keys that it
 * lacks since the split are looked at afterwards.
 */
export function planSplitBack(back: SwapBack, { changes }: Pair): Swap {
  const { table, old, memory } = back;
  const { locks, work } = planSwapBack(back);
  const lost = forbiddingOf({ ...old, foreignKeys: memory.foreignKeys ?? [] }).filter(
    ({ name }) => !old.foreignKeys.some((key) => key.name === name),
  );
  return {
    locks: [
      ...locks,
      ...planned('and the old one as little', [`LOCK TABLE ${quoteName(old)} IN ACCESS EXCLUSIVE MODE`], {
        locks: [`ACCESS EXCLUSIVE on ${shown(old)}`],
      }),
    ],
    work: [
      ...stopCapture(table),
      ...dropCapture(changes),
      dropState(table),
      ...work,
      ...lost.flatMap(({ name, definition, references }) =>
        planned(
          `${name}, for what is written from here on`,
          [`ALTER TABLE ${quoteName(table)} ADD CONSTRAINT ${quoteIdentifier(name)} ${definition} NOT VALID`],
          {
            locks: [`SHARE ROW EXCLUSIVE on ${shown(references)}`],
            waitsFor: `whoever writes ${shown(references)}`,
          },
        ),
      ),
    ],
  };
}

/** Notes changes again, where somebody took away what did. */
function planRecapture(table: QualifiedName, pair: Pair): Step {
  return {
    title: `note what changes in ${shown(table)} again`,
    transaction: true,
    statements: [
      ...stopCapture(table),
      ...dropCapture(pair.changes),
      ...createCapture(pair),
      ...startCapture(pair),
    ],
  };
}

/** Empties the old table and notes every row of the new one: all of it is to be copied. */
function planRefill({ from, to, changes, key }: Pair): Step {
  const names = columnList(key.map(({ name }) => name));
  const statements: PlannedStatement[] = planned(
    `${shown(to)} cannot be brought up to date by what was noted: it is filled anew`,
    [
      `DELETE FROM ${quoteName(changes)} WHERE ${withoutKey(key)}`,
      `TRUNCATE ${quoteName(to)}`,
      `INSERT INTO ${quoteName(changes)} (${names}) SELECT ${names} FROM ${quoteName(from)}`,
    ],
  );
  return { title: `note all rows of ${shown(from)}`, transaction: true, statements };
}

const mostTries = 10;
const enough = 500;

/**
 * Makes the old table what the new one is, and puts it back in its place. Returns for how many milliseconds the table was
 * locked; null when somebody changed it meanwhile: then it is to be prepared again. Throws `table-unsuitable` when the
 * old table cannot take a row, and `proof-failed`.
 */
export async function goBackFromSplit(
  worker: Worker,
  back: SwapBack,
  { pair, memory }: Split,
  steps: Steps,
): Promise<number | null> {
  const { table, old } = back;
  const title = `put ${shown(old)} back in the place of ${shown(table)}`;
  const carryOut = (step: Step) => steps.run(step.title, () => worker.carryOut(step));
  const follow = () =>
    steps.run(`make good in ${shown(old)} what changed since the swap`, () =>
      catchUp(worker, pair, { enough }).catch((error) => {
        throw isUniqueViolation(error) ? cannotTake(table, error) : error;
      }),
    );
  for (let tries = 1; ; tries++) {
    if (!(await isCaptured(worker.session.sql, pair))) {
      await carryOut(planRecapture(table, pair));
      await carryOut(planRefill(pair));
    }
    if (!(await follow())) {
      await carryOut(planRefill(pair));
      continue;
    }
    if (tries === 1)
      await steps.run(`compare ${shown(table)} and ${shown(old)}`, () =>
        proveSplit(worker, pair, { partitioned: table, column: memory.column }),
      );
    const swapped = await steps.run(title, () => swapBack(worker, title, back, pair));
    if (swapped !== 'behind') return swapped;
    if (tries >= mostTries)
      throw new EduschemaError(
        'table-changed',
        `${shown(table)} changes faster than it can be made good in ${shown(old)}`,
        {
          hint: 'nothing was changed for those who use it: run the command again at a quieter time',
        },
      );
  }
}

async function swapBack(
  worker: Worker,
  title: string,
  back: SwapBack,
  pair: Pair,
): Promise<number | null | 'behind'> {
  const { table, old } = back;
  const { versionNumber } = worker.session.facts;
  const versionsOf = async (sql: TransactionSql) =>
    `${await findVersion(sql, table.oid)} ${await findVersion(sql, old.oid)}`;
  const early = await inTransaction(
    worker.session,
    'ISOLATION LEVEL REPEATABLE READ READ ONLY',
    async (sql) => ({
      table: await describeTable(sql, table, versionNumber),
      old: await describeTable(sql, old, versionNumber),
      versions: await versionsOf(sql),
    }),
  );
  if (early.table?.oid !== table.oid || early.old?.oid !== old.oid) return null;
  const { locks, work } = planSplitBack({ ...back, table: early.table, old: early.old }, pair);
  return worker.transaction(title, async (sql) => {
    await sql.unsafe(`SET LOCAL search_path = ''; SET LOCAL row_security = off`);
    await worker.together(sql, title, locks);
    const lockedAt = performance.now();
    if ((await versionsOf(sql)) !== early.versions) return null;
    if (!(await isCaptured(sql, pair)) || (await isBehind(sql, pair)) || (await replaySome(sql, pair)).anew)
      return 'behind';
    await worker.together(sql, title, work);
    await proveBack(sql, early.table as TableDescription, old);
    return Math.round(performance.now() - lockedAt);
  });
}

/** Looks at what came of it before anybody else can see it. */
async function proveBack(sql: TransactionSql, table: TableDescription, old: TableDescription): Promise<void> {
  const [facts] = await sql.unsafe<[{ name: string; invalid: number; triggers: number }]>(
    `SELECT c.relname AS name,
       (SELECT count(*)::int FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND NOT x.indisvalid) AS invalid,
       (SELECT count(*)::int FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers
     FROM pg_catalog.pg_class c WHERE c.oid = ${old.oid}`,
  );
  const wrong = [
    facts.name === table.name ? '' : `it is called ${facts.name}`,
    facts.invalid === 0 ? '' : `${facts.invalid} of its indexes are invalid`,
    facts.triggers === table.triggers.length
      ? ''
      : `${facts.triggers} of ${table.triggers.length} triggers are there`,
  ].filter(Boolean);
  if (wrong.length === 0) return;
  throw new EduschemaError(
    'proof-failed',
    `${shown(table)} did not become what it was: ${wrong.join('; ')}`,
    {
      hint: 'all of it was taken back; please report this',
    },
  );
}

const isUniqueViolation = (error: unknown): error is EduschemaError =>
  error instanceof EduschemaError && error.details?.sqlstate === '23505';

function cannotTake(table: TableDescription, error: EduschemaError): EduschemaError {
  return new EduschemaError(
    'table-unsuitable',
    `${shown(table)} as it was cannot take the rows that it has now: ${error.details?.reason}`,
    {
      excerpt: error.excerpt,
      hint: 'change or delete one of the rows that are there twice, and run the command again; nothing that anybody uses was changed',
      cause: error.cause,
    },
  );
}
