import { isConnectionLost, isServerError, type ServerError } from '../db/explain-error.ts';
import { EduschemaError } from '../errors.ts';
import type { Statement } from '../sql/split.ts';
import { type FailedAt, findFailure, writtenStatement } from './failed-at.ts';
import { explainJournalChange, leaveJournal } from './journal-guard.ts';

/** A statement of a migration that the server refused. */
export interface StatementFailure {
  readonly error: unknown;
  readonly statement: Statement | undefined;
  /** Where the text of the message began that PostgreSQL's position counts from. */
  readonly messageStart: number | undefined;
}

export interface FailedMigration {
  /** `migration 1.4.0_search`, `repeatable monthly_kpi`, `rollback of 1.4.0`. */
  readonly title: string;
  readonly file: string;
  readonly text: string;
  /** What state the database is in now, as a sentence. */
  readonly outcome: () => string;
  readonly command: string;
  /** Whether it runs outside a transaction. */
  readonly outside?: boolean | undefined;
  /** For a hook: which of them it is. */
  readonly hook?: 'before' | 'after' | undefined;
}

/** The code of the error when it fails. */
export function codeOf({ hook }: Pick<FailedMigration, 'hook'>): 'migration-failed' | 'hook-failed' {
  return hook ? 'hook-failed' : 'migration-failed';
}

/** The error for a statement that failed: file, line, column, statement, excerpt, SQLSTATE, and what is true now. */
export function statementFailed(
  migration: FailedMigration,
  { error, statement, messageStart }: StatementFailure,
): EduschemaError {
  const server = isServerError(error) ? error : undefined;
  const place: FailedAt | undefined = findFailure(migration, server, statement, messageStart);
  const where = place ? ` at line ${place.line} of ${place.file}` : ` in ${migration.file}`;
  const ended = endedTransaction(error, statement);
  const journal = journalProblem(error, statement);
  const reason = ended ? 'it ended the transaction that it runs in' : (journal ?? messageOf(error));
  const told = [reason, ...context(server)].map((line) => `  ${line}`);
  const shown = place ? ['', place.excerpt] : [];
  const outcome = outcomeAfter(migration, error, statement);
  return new EduschemaError(
    codeOf(migration),
    `${migration.title} failed${where}${server ? ` (${server.code})` : ''}`,
    {
      excerpt: [...told, ...shown, '', outcome].join('\n'),
      hint: journal ? leaveJournal : (server?.hint ?? hintFor(server?.code, migration)),
      cause: error,
      details: {
        file: place?.file ?? migration.file,
        line: place?.line,
        column: place?.column,
        statement: statement && shorten(writtenStatement(migration.text, statement)),
        sqlstate: server?.code,
        reason: told[0]?.trim(),
        detail: server?.detail,
        where: server?.where,
        outcome,
        hook: migration.hook,
      },
    },
  );
}

/** What went wrong with the journal: what is not a statement of the migration is about it. */
function journalProblem(error: unknown, statement: Statement | undefined): string | undefined {
  const gone = !statement && isServerError(error) && error.code === '42P01';
  return gone ? `it took the journal of eduschema away: ${error.message}` : explainJournalChange(error);
}

/** Our own check failed: what the statements did by then is committed or gone. */
function endedTransaction(error: unknown, statement: Statement | undefined): boolean {
  return !statement && isServerError(error) && error.code === '25P01';
}

function outcomeAfter(migration: FailedMigration, error: unknown, statement: Statement | undefined): string {
  if (endedTransaction(error, statement)) return 'what it committed itself stays; it is not recorded';
  if (!isConnectionLost(error) || migration.hook === 'before') return migration.outcome();
  if (migration.hook) return 'the connection was lost: eduschema status says whether it is due still';
  return `${migration.outcome()}${migration.outside ? '; the next run finds out about what was under way' : ''}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function context(error: ServerError | undefined): string[] {
  const lines: string[] = [];
  if (error?.detail) lines.push(error.detail);
  if (error?.where) lines.push(...error.where.split('\n'));
  return lines;
}

/** What to do after a failure, by its SQLSTATE. */
export function hintFor(
  code: string | undefined,
  { command, hook }: Pick<FailedMigration, 'command' | 'hook'>,
): string {
  switch (code) {
    case '55P03':
      return `another session holds the lock: run ${command} again when it is done`;
    case '25001':
      return hook
        ? 'a hook runs in a transaction: put this into a migration that says transaction:false'
        : 'this statement cannot run in a transaction: write -- migrate:up transaction:false';
    case '42501':
      return `use a role that has this right (--role), and run ${command} again`;
    default:
      return `fix the ${hook ? 'hook' : 'file'} and run ${command} again`;
  }
}

const longestStatement = 1000;

function shorten(statement: string): string {
  return statement.length > longestStatement ? `${statement.slice(0, longestStatement)} …` : statement;
}
