import type { Session } from '../db/connect.ts';
import { isConnectionLost, isServerError } from '../db/explain-error.ts';
import { sendPipelined } from '../db/pipeline.ts';
import { EduschemaError } from '../errors.ts';
import type { Statement } from '../sql/split.ts';
import { leadingWords } from '../sql/tokens.ts';
import { type FailedMigration, statementFailed } from './failure.ts';
import { explainJournalChange, forbidChanged } from './journal-guard.ts';
import { lookBefore } from './judge.ts';
import { canCommit, divideIntoPieces, endsTransaction, type Piece } from './pieces.ts';
import { nameOfUnit, type PreparedSql } from './prepare.ts';
import { findProgress, type Progress, settlePiece } from './resume.ts';
import { describe, type Run, type RunSettings } from './run-settings.ts';
import { runStatements } from './run-statements.ts';
import { lockStatement } from './session-sql.ts';
import { hashOf, migrationOf, openStatementLog, type StatementLog } from './statement-journal.ts';
import { enterTransaction } from './transaction-sql.ts';

interface Work {
  readonly session: Session;
  readonly prepared: PreparedSql;
  readonly settings: RunSettings;
  readonly log: StatementLog;
  readonly failed: FailedMigration;
}

/**
 * Runs the statements of a migration with `transaction:false`, each with its row in the journal of statements. What
 * an earlier run carried out is left out, and what it left in doubt is judged first.
 */
export async function runPieces(
  session: Session,
  prepared: PreparedSql,
  run: Run,
  settings: RunSettings,
): Promise<void> {
  const { text, section, unit, direction } = prepared;
  const { statements } = section;
  const of = { migration: migrationOf(unit), direction };
  const log = openStatementLog(settings.keeper, settings, of);
  const pieces = divideIntoPieces(text, statements);
  const progress = await findProgress(prepared, pieces, settings);
  await log.forget(Math.max(0, ...progress.rows.keys()) + 1);
  for (const piece of pieces) {
    const failed = describe(prepared, run, outcomeAt(prepared, piece));
    const work: Work = { session, prepared, settings, log, failed };
    settings.signal?.throwIfAborted();
    await settings.confirmTurn();
    await runPiece(work, piece, progress);
  }
}

function outcomeAt({ unit, section, text }: PreparedSql, { from, kind }: Piece): string {
  const total = section.statements.length;
  const start = section.statements[from]?.start ?? 0;
  if (kind === 'alone' && canCommit(leadingWords(text, start, 1)))
    return `what statement ${from + 1} of ${total} committed before it failed stays; ${nameOfUnit(unit)} is not recorded`;
  const done =
    from === 0
      ? 'nothing of it was carried out'
      : from === 1
        ? `statement 1 of ${total} was carried out and stays`
        : `statements 1 to ${from} of ${total} were carried out and stay`;
  return `${done}; ${nameOfUnit(unit)} is not recorded`;
}

async function runPiece(work: Work, piece: Piece, progress: Progress): Promise<void> {
  const ordinals = ordinalsOf(piece);
  const isDone = ordinals.every((ordinal) => progress.isDone(ordinal));
  if (isDone && piece.kind !== 'settings') return;
  if (!isDone && piece.kind !== 'settings') {
    const settled = await settlePiece(work.session, work.prepared, piece, progress, work.settings, work.log);
    if (settled === 'done') return;
  }
  if (piece.kind === 'transaction') await runInTransaction(work, piece);
  else await runAlone(work, piece);
}

const ordinalsOf = ({ from, to }: Piece) => Array.from({ length: to - from }, (_, index) => from + index + 1);

const statementsOf = ({ prepared }: Work, { from, to }: Piece) => prepared.section.statements.slice(from, to);

async function start(
  work: Work,
  piece: Piece,
  mode: 'transaction' | 'alone',
  found: readonly number[],
): Promise<void> {
  const { text } = work.prepared;
  const started = statementsOf(work, piece).map((statement, index) => ({
    ordinal: piece.from + index + 1,
    text: text.slice(statement.start, statement.end),
    hash: hashOf(text, statement),
  }));
  await work.log.start(started, mode, work.session.pooled ? 0 : work.session.facts.pid, found);
}

/** Gives a statement, or the migration's own block, a transaction whose number is written down before its COMMIT. */
async function runInTransaction(work: Work, piece: Piece): Promise<void> {
  const { session, settings, log } = work;
  await start(work, piece, 'transaction', []);
  try {
    const own = await session.sql.unsafe<[{ value: string }]>(
      `SELECT pg_catalog.current_setting('lock_timeout') AS value`,
    );
    // A timeout that the migration has set itself is not ours to change.
    if (own[0].value === '0') await settings.withLocks((lockTimeout) => attempt(work, piece, lockTimeout));
    else await attempt(work, piece, undefined);
  } catch (error) {
    if (!piece.ownBlock && refusesTransaction(error)) {
      await log.startAlone(ordinalsOf(piece));
      return runAlone(work, piece);
    }
    await recordFailure(work, piece, error);
    throw error;
  }
  await log.finish(ordinalsOf(piece));
}

/** "Cannot run inside a transaction block", "invalid transaction termination". */
function refusesTransaction(error: unknown): boolean {
  const cause = error instanceof EduschemaError ? error.cause : error;
  return isServerError(cause) && (cause.code === '25001' || cause.code === '2D000');
}

async function attempt(work: Work, piece: Piece, lockTimeout: string | undefined): Promise<void> {
  const { session, prepared, failed, log, settings } = work;
  const limit = lockTimeout === undefined ? [] : [`SET LOCAL lock_timeout = '${lockTimeout}'`];
  const { body, begin, end } = partsOf(work, piece);
  try {
    if (begin) await runStatements(session, failed, [begin], [], limit);
    await runStatements(session, failed, body, begin ? [] : [beginOf(work, limit)], []);
    if (session.tap.transaction !== 'open') throw endedItself(prepared);
    if (settings.lease) {
      // The session that writes the journal may have to wait until this transaction is done: a pooler can have one only.
      await session.sql.unsafe(
        [
          forbidChanged(settings.journal),
          'RESET SESSION AUTHORIZATION',
          'RESET ROLE',
          settings.lease.fence,
          log.finished(ordinalsOf(piece)),
        ].join('; '),
      );
    } else {
      await session.sql.unsafe(forbidChanged(settings.journal));
      const [{ id }] = await session.sql.unsafe<[{ id: string }]>(
        'SELECT pg_catalog.pg_current_xact_id()::text AS id',
      );
      await log.commit(ordinalsOf(piece), id);
    }
    await finishWith(work, end, body.at(-1));
  } catch (error) {
    if (session.tap.transaction !== 'none') await session.sql.unsafe('ROLLBACK').catch(() => {});
    if (!explainJournalChange(error)) throw error;
    throw statementFailed(failed, { error, statement: body[0], messageStart: undefined });
  }
}

function beginOf({ settings }: Work, limit: readonly string[]): string {
  const clean = settings.lease ? enterTransaction(settings, []) : [];
  return ['BEGIN', ...clean, ...limit].join('; ');
}

function partsOf(work: Work, piece: Piece) {
  const statements = statementsOf(work, piece);
  if (!piece.ownBlock) return { begin: undefined, body: statements, end: undefined };
  const { text } = work.prepared;
  const last = statements.at(-1) as Statement;
  if (statements.length < 2 || !endsTransaction(leadingWords(text, last.start, 4)))
    throw leftOpen(work.prepared);
  return { begin: statements[0], body: statements.slice(1, -1), end: last };
}

/** Ends the transaction; what a deferred constraint says is laid to the last statement. */
async function finishWith(
  { session, failed, prepared: { text } }: Work,
  end: Statement | undefined,
  last: Statement | undefined,
): Promise<void> {
  const failure = await sendPipelined(session, [end ? text.slice(end.start, end.end) : 'COMMIT']);
  if (failure)
    throw statementFailed(failed, { error: failure.error, statement: end ?? last, messageStart: undefined });
}

function endedItself({ unit }: PreparedSql): EduschemaError {
  return new EduschemaError(
    'migration-failed',
    `${nameOfUnit(unit)} ended a transaction that it did not begin`,
    {
      hint: 'write BEGIN and COMMIT as statements of their own',
    },
  );
}

function leftOpen({ unit }: PreparedSql): EduschemaError {
  return new EduschemaError(
    'migration-failed',
    `migration ${nameOfUnit(unit)} left a transaction open; it was rolled back, and the migration is not recorded`,
    { hint: 'end it with COMMIT in the file' },
  );
}

async function runAlone(work: Work, piece: Piece): Promise<void> {
  const { session, prepared, settings, failed, log } = work;
  const statements = statementsOf(work, piece);
  const [first] = statements;
  const { found, invalid } = await lookBefore(
    session,
    first ? prepared.text.slice(first.start, first.end) : '',
  );
  if (invalid !== undefined) throw strangeInvalidIndex(prepared, invalid);
  await start(work, piece, 'alone', found);
  try {
    await settings.watched(async () => {
      for (const statement of statements) await runStatements(session, failed, [statement], [], []);
    });
  } catch (error) {
    await recordFailure(work, piece, error);
    throw error;
  }
  // DISCARD ALL gives up what keeps other runners out.
  if (piece.kind === 'settings') await session.sql.unsafe(lockStatement(work.settings.guard));
  await log.finish(ordinalsOf(piece));
}

function strangeInvalidIndex({ unit }: PreparedSql, index: string): EduschemaError {
  return new EduschemaError(
    'index-invalid',
    `index ${index} is there already, and invalid: an earlier build of it failed, and it was not ${nameOfUnit(unit)} that began it`,
    { hint: `DROP INDEX CONCURRENTLY ${index}, and run eduschema migrate again`, details: { index } },
  );
}

async function recordFailure({ session, log }: Work, piece: Piece, error: unknown): Promise<void> {
  if (session.isOpen() && session.tap.transaction !== 'none')
    await session.sql.unsafe('ROLLBACK').catch(() => {});
  const cause = error instanceof EduschemaError ? (error.cause ?? error) : error;
  const { message } = cause instanceof Error ? cause : { message: String(cause) };
  const server = isServerError(cause) ? cause : undefined;
  const told = { message, code: server?.code, where: server?.where };
  // Without a word of the server, nobody knows how it ended.
  const ended = server !== undefined && !isConnectionLost(error) && session.isOpen();
  await log.fail(ordinalsOf(piece), told, ended).catch(() => {});
}
