import type { Session } from '../db/connect.ts';
import { quoteLiteral } from '../db/identifiers.ts';
import {
  definitionAsWritten,
  type IndexState,
  listIndexes,
  listReindexLeftovers,
} from '../db/index-state.ts';
import {
  type ConcurrentStatement,
  type CreateIndexConcurrently,
  parseConcurrent,
} from '../sql/concurrent.ts';
import { leadingWords } from '../sql/tokens.ts';
import { canCommit, isRepeatable } from './pieces.ts';
import type { StatementRow } from './statement-journal.ts';

/** What became of a statement that nobody saw ending, as far as the database shows it. */
export type Verdict =
  | { readonly kind: 'done'; readonly because: string }
  /** It has to be carried out again, after what `repair` does. */
  | { readonly kind: 'redo'; readonly because: string; readonly repair: readonly string[] }
  /** The statement was carried out in part, and `repair` finishes it. */
  | { readonly kind: 'finish'; readonly because: string; readonly repair: readonly string[] }
  /** Somebody's session is still at it. */
  | { readonly kind: 'running'; readonly pid: number }
  | { readonly kind: 'unclear'; readonly because: string };

const redo = (because: string, repair: readonly string[] = []): Verdict => ({
  kind: 'redo',
  because,
  repair,
});
const done = (because: string): Verdict => ({ kind: 'done', because });
const unclear = (because: string): Verdict => ({ kind: 'unclear', because });

/**
 * Judges a statement whose row says that it was started or failed. Asks the server, in a session with the settings
 * of the migration: what became of its transaction, or what is in the catalogue. Never guesses.
 */
export async function judgeStatement(
  session: Session,
  row: StatementRow,
  statement: string,
): Promise<Verdict> {
  if (row.mode === 'transaction') return judgeTransaction(session, row);
  const running = await findRunning(session, statement);
  if (running !== undefined) return { kind: 'running', pid: running };
  const concurrent = parseConcurrent(statement);
  if (concurrent) return judgeConcurrent(session, row, concurrent);
  const words = leadingWords(statement, 0, 2);
  if (isRepeatable(words)) return redo('it can be carried out again');
  if (row.state === 'failed' && !(canCommit(words) && row.context !== null))
    return redo('it failed, and nothing of it stayed');
  return unclear(
    row.state === 'failed'
      ? `it failed inside (${row.error}), and may have committed a part by then`
      : 'the connection was lost, or the process killed, while it ran',
  );
}

/** COMMIT is sent after the transaction's number was written down: without one it was not. */
async function judgeTransaction({ sql }: Session, { transactionId }: StatementRow): Promise<Verdict> {
  if (transactionId === null) return redo('its transaction was never committed');
  const [{ status } = { status: null }] = await sql.unsafe<[{ status: string | null }]>(
    `SELECT pg_catalog.pg_xact_status(${quoteLiteral(transactionId)}::xid8) AS status`,
  );
  switch (status) {
    case 'committed':
      return done('its transaction was committed');
    case 'aborted':
      return redo('its transaction was rolled back');
    case 'in progress':
      return unclear('its transaction is still in progress');
    default:
      return unclear('it is so long ago that the server has forgotten what became of its transaction');
  }
}

/** A session of somebody killed, or behind a pooler, may work on. */
async function findRunning({ sql }: Session, statement: string): Promise<number | undefined> {
  const [found] = await sql.unsafe<[{ pid: number }?]>(
    `SELECT pid FROM pg_catalog.pg_stat_activity
     WHERE state = 'active' AND pid <> pg_catalog.pg_backend_pid() AND datname = current_database()
       AND left(query, 300) = left(${quoteLiteral(statement)}, 300)`,
  );
  return found?.pid;
}

function judgeConcurrent(
  session: Session,
  row: StatementRow,
  statement: ConcurrentStatement,
): Promise<Verdict> {
  switch (statement.kind) {
    case 'create-index':
      return judgeCreateIndex(session, row, statement);
    case 'drop-index':
      return judgeDropIndex(session, statement.index);
    case 'reindex':
      return judgeReindex(session, row);
    case 'detach-partition':
      return judgeDetach(session, statement.parent, statement.partition);
  }
}

async function judgeCreateIndex(
  { sql }: Session,
  row: StatementRow,
  statement: CreateIndexConcurrently,
): Promise<Verdict> {
  const asWritten = await definitionAsWritten(sql, statement);
  const isOurs = ({ oid, index, definition }: IndexState) =>
    !row.found.includes(oid) &&
    (statement.index === undefined ? definition === asWritten : index === statement.index);
  const ours = (await listIndexes(sql, statement.table)).filter(isOurs);
  const [index, another] = ours;
  if (!index) return redo('its index is not there');
  if (another) return unclear(`${ours.map(({ name }) => name).join(' and ')} are both as it says`);
  if (index.builder !== null) return { kind: 'running', pid: index.builder };
  if (!index.valid)
    return redo(`index ${index.name} was left invalid: it is dropped and built again`, [
      `DROP INDEX CONCURRENTLY ${index.name}`,
    ]);
  if (index.definition === asWritten) return done(`index ${index.name} is valid and as it says`);
  return unclear(
    asWritten === undefined
      ? `index ${index.name} is valid, but could not be compared with what the statement says`
      : `index ${index.name} is valid, but it is "${index.definition.trim()}" and not "${asWritten.trim()}"`,
  );
}

async function judgeDropIndex({ sql }: Session, index: string): Promise<Verdict> {
  const [{ there } = { there: false }] = await sql.unsafe<[{ there: boolean }]>(
    `SELECT pg_catalog.to_regclass(${quoteLiteral(index)}) IS NOT NULL AS there`,
  );
  return there ? redo('its index is still there') : done(`index ${index} is gone`);
}

async function judgeReindex({ sql }: Session, { found }: StatementRow): Promise<Verdict> {
  const left = (await listReindexLeftovers(sql)).filter(({ oid }) => !found.includes(oid));
  const running = left.find(({ builder }) => builder !== null);
  if (running?.builder) return { kind: 'running', pid: running.builder };
  return redo(
    left.length === 0
      ? 'it can be carried out again'
      : `${left.map(({ name }) => name).join(', ')} was left behind: it is dropped, and the statement carried out again`,
    left.map(({ name }) => `DROP INDEX CONCURRENTLY ${name}`),
  );
}

async function judgeDetach({ sql }: Session, parent: string, partition: string): Promise<Verdict> {
  const [inherits] = await sql.unsafe<[{ pending: boolean }?]>(
    `SELECT inhdetachpending AS pending FROM pg_catalog.pg_inherits
     WHERE inhparent = pg_catalog.to_regclass(${quoteLiteral(parent)})
       AND inhrelid = pg_catalog.to_regclass(${quoteLiteral(partition)})`,
  );
  if (!inherits) return done(`${partition} is no partition of ${parent} any more`);
  if (!inherits.pending) return redo(`${partition} is still a partition of ${parent}`);
  return {
    kind: 'finish',
    because: `${partition} was left half detached: it is finalized`,
    repair: [`ALTER TABLE ${parent} DETACH PARTITION ${partition} FINALIZE`],
  };
}

/** What is there before a statement, by which a later run tells what the statement made. */
export async function lookBefore(
  { sql }: Session,
  statement: string,
): Promise<{
  readonly found: readonly number[];
  /** An invalid index that `IF NOT EXISTS` would take for its own. */
  readonly invalid: string | undefined;
}> {
  const concurrent = parseConcurrent(statement);
  if (concurrent?.kind === 'reindex')
    return { found: (await listReindexLeftovers(sql)).map(({ oid }) => oid), invalid: undefined };
  if (concurrent?.kind !== 'create-index') return { found: [], invalid: undefined };
  const indexes = await listIndexes(sql, concurrent.table);
  const same = indexes.find(({ index, valid }) => index === concurrent.index && !valid);
  return { found: indexes.map(({ oid }) => oid), invalid: same?.name };
}
