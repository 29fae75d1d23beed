import type { TransactionSql } from 'postgres';
import { type QualifiedName, quoteLiteral, quoteName } from '../../db/identifiers.ts';
import { inTransaction } from '../../db/in-transaction.ts';
import type { Worker } from '../../db/worker.ts';
import { EduschemaError } from '../../errors.ts';
import { type Choices, shown } from '../convert/choices.ts';
import { describeTable } from '../convert/describe-table.ts';
import { fingerprintOf } from '../convert/fingerprint.ts';
import type { Swap } from '../convert/swap.ts';
import { planMarkedSwap } from '../convert/swap-in.ts';
import type { TableDescription } from '../convert/table-description.ts';
import { findVersion } from '../convert/table-version.ts';
import { captureTriggers, startCapture, stopCapture } from './capture.ts';
import { addToLeaves, dropForbidding, lockReferenced } from './outgoing.ts';
import type { Pair } from './pair.ts';
import { replaySome } from './replay.ts';
import { enter } from './run-state.ts';

/** What a swap came to, when it did not fail. Whatever is not `swapped` changed nothing. */
export interface SplitSwap {
  /**
   * `changed`: the table is not what it was described as. `behind`: too much is noted to be made good under the lock.
   * `anew`: changes were not noted by key, or not at all; the copy cannot be relied on.
   */
  readonly outcome: 'swapped' | 'changed' | 'behind' | 'anew';
  /** Milliseconds from the moment that the table was locked to the last statement. */
  readonly lockedMs: number;
}

/** As much can be made good within some 100 ms. */
const mostNotes = 3000;

/**
 * The twin takes the table's place, the table stands aside; between the two parts the last changes are made good. From
 * then on changes of the new table are noted, for an undo.
 */
export function planSplitSwap(
  table: TableDescription,
  choices: Choices,
  leaves: readonly QualifiedName[],
  { changes }: Pair,
): Swap {
  const { locks, work } = planMarkedSwap(table, choices);
  return {
    locks: [...locks, ...lockReferenced(table)],
    work: [
      ...stopCapture(table),
      ...dropForbidding(table),
      ...work,
      ...addToLeaves(table, leaves),
      ...startCapture({ from: table, changes }),
      enter(table, 'keys'),
    ],
  };
}

/** Swaps the twin in, when the table under the lock is what it was described as and its last changes can be made good. */
export async function swapSplit(
  worker: Worker,
  { table, choices }: { readonly table: TableDescription; readonly choices: Choices },
  leaves: readonly QualifiedName[],
  pair: Pair,
): Promise<SplitSwap> {
  const title = `put the twin in the place of ${shown(table)}`;
  const { locks, work } = planSplitSwap(table, choices, leaves, pair);
  const nothing = (outcome: SplitSwap['outcome']): SplitSwap => ({ outcome, lockedMs: 0 });
  // One snapshot, so that nothing comes between what the table is and who last changed it.
  const early = await inTransaction(
    worker.session,
    'ISOLATION LEVEL REPEATABLE READ READ ONLY',
    async (sql) => ({
      found: await describeTable(sql, table, worker.session.facts.versionNumber),
      version: await findVersion(sql, table.oid),
    }),
  );
  const isSame = early.found && fingerprintOf(early.found, choices) === fingerprintOf(table, choices);
  if (!isSame || early.found?.oid !== table.oid) return nothing('changed');
  return worker.transaction(title, async (sql) => {
    await sql.unsafe(`SET LOCAL search_path = ''; SET LOCAL row_security = off`);
    await worker.together(sql, title, locks);
    const lockedAt = performance.now();
    if ((await findVersion(sql, table.oid)) !== early.version) return nothing('changed');
    if (!(await isCaptured(sql, pair))) return nothing('anew');
    if (await isBehind(sql, pair)) return nothing('behind');
    if ((await replaySome(sql, pair)).anew) return nothing('anew');
    await worker.together(sql, title, work);
    await proveSwapped(sql, table);
    return { outcome: 'swapped', lockedMs: performance.now() - lockedAt };
  });
}

/** Whether more is noted than can be made good while the table is locked. */
export async function isBehind(
  sql: Pick<TransactionSql, 'unsafe'>,
  { changes }: Pick<Pair, 'changes'>,
): Promise<boolean> {
  const [{ many }] = await sql.unsafe<[{ many: boolean }]>(
    `SELECT count(*) > ${mostNotes} AS many FROM (SELECT FROM ${quoteName(changes)} LIMIT ${mostNotes + 1}) AS c`,
  );
  return many;
}

/** Whether changes are still noted: somebody may have dropped or disabled what does it. */
export async function isCaptured(
  sql: Pick<TransactionSql, 'unsafe'>,
  { from, changes }: Pick<Pair, 'from' | 'changes'>,
): Promise<boolean> {
  const names = Object.values(captureTriggers).map(quoteLiteral);
  const [found] = await sql.unsafe<[{ captured: boolean }]>(
    `SELECT to_regclass(${quoteLiteral(quoteName(changes))}) IS NOT NULL AND count(*) = ${names.length} AS captured FROM pg_catalog.pg_trigger
     WHERE tgrelid = to_regclass(${quoteLiteral(quoteName(from))}) AND tgname IN (${names.join(', ')}) AND tgenabled = 'A'`,
  );
  return found.captured;
}

/** Looks at what came of it before anybody else can see it. Throws `proof-failed`, which takes all of it back. */
async function proveSwapped(sql: TransactionSql, table: TableDescription): Promise<void> {
  const name = quoteLiteral(quoteName(table));
  const [facts] = await sql.unsafe<[{ indexes: number; triggers: number }]>(
    `SELECT (SELECT count(*)::int FROM pg_catalog.pg_index WHERE indrelid = ${name}::pg_catalog.regclass AND indisvalid) AS indexes,
            (SELECT count(*)::int FROM pg_catalog.pg_trigger WHERE tgrelid = ${name}::pg_catalog.regclass AND NOT tgisinternal
               AND tgname !~ '^eduschema_') AS triggers`,
  );
  const wrong = [
    facts.indexes === table.indexes.length
      ? ''
      : `${facts.indexes} of its ${table.indexes.length} indexes are there and valid`,
    facts.triggers === table.triggers.length
      ? ''
      : `${facts.triggers} of its ${table.triggers.length} triggers are there`,
  ].filter(Boolean);
  if (wrong.length === 0) return;
  throw new EduschemaError('proof-failed', `${shown(table)} would not be what it was: ${wrong.join('; ')}`, {
    hint: 'all of it was taken back; please report this',
  });
}
