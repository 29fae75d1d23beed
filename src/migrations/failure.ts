import { isConnectionLost, isServerError, type ServerError } from '../db/explain-error.ts';
import { EduschemaError } from '../errors.ts';
import { excerptAt, findPlace, offsetOfPosition } from '../sql/excerpt.ts';
import type { Statement } from '../sql/split.ts';

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
}

/** The error for a statement that failed: file, line, column, statement, excerpt, SQLSTATE, and what is true now. */
export function statementFailed(
  migration: FailedMigration,
  { error, statement, messageStart }: StatementFailure,
): EduschemaError {
  const server = isServerError(error) ? error : undefined;
  const at = failedAt(migration.text, server, statement, messageStart);
  const place = at === undefined ? undefined : findPlace(migration.text, at);
  const where = place ? ` at line ${place.line} of ${migration.file}` : ` in ${migration.file}`;
  const ended = endedTransaction(error, statement);
  const reason = ended ? 'it ended the transaction that it runs in' : messageOf(error);
  const told = [reason, ...context(server)].map((line) => `  ${line}`);
  const shown = place ? ['', excerptAt(migration.text, place)] : [];
  const outcome = outcomeAfter(migration, error, statement);
  return new EduschemaError(
    'migration-failed',
    `${migration.title} failed${where}${server ? ` (${server.code})` : ''}`,
    {
      excerpt: [...told, ...shown, '', outcome].join('\n'),
      hint: server?.hint ?? hintFor(server?.code, migration.command),
      cause: error,
      details: {
        file: migration.file,
        line: place?.line,
        column: place?.column,
        statement: statement && shorten(migration.text.slice(statement.start, statement.end)),
        sqlstate: server?.code,
        reason: told[0]?.trim(),
        detail: server?.detail,
        where: server?.where,
        outcome,
      },
    },
  );
}

/** Our own check failed: what the statements did by then is committed or gone. */
function endedTransaction(error: unknown, statement: Statement | undefined): boolean {
  return !statement && isServerError(error) && error.code === '25P01';
}

function outcomeAfter(migration: FailedMigration, error: unknown, statement: Statement | undefined): string {
  if (endedTransaction(error, statement)) return 'what it committed itself stays; it is not recorded';
  if (!isConnectionLost(error)) return migration.outcome();
  return 'the connection was lost: eduschema status says whether it is applied';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The offset that PostgreSQL named, else the first character of the statement. */
function failedAt(
  text: string,
  error: ServerError | undefined,
  statement: Statement | undefined,
  messageStart: number | undefined,
): number | undefined {
  if (error?.position !== undefined && messageStart !== undefined)
    return offsetOfPosition(text, messageStart, Number(error.position));
  if (statement?.data) {
    const line = /^COPY .*?, line (\d+)/.exec(error?.where ?? '')?.[1];
    if (line !== undefined) return offsetOfLine(text, statement.data.start, Number(line));
  }
  return statement?.start;
}

function offsetOfLine(text: string, start: number, line: number): number {
  let at = start;
  for (let left = line - 1; left > 0; left--) at = text.indexOf('\n', at) + 1 || text.length;
  return at;
}

function context(error: ServerError | undefined): string[] {
  const lines: string[] = [];
  if (error?.detail) lines.push(error.detail);
  if (error?.where) lines.push(...error.where.split('\n'));
  return lines;
}

function hintFor(code: string | undefined, command: string): string {
  switch (code) {
    case '55P03':
      return `another session holds the lock: run ${command} again when it is done`;
    case '25001':
      return 'this statement cannot run in a transaction: write -- migrate:up transaction:false';
    case '42501':
      return `use a role that has this right (--role), and run ${command} again`;
    default:
      return `fix the file and run ${command} again`;
  }
}

const longestStatement = 1000;

function shorten(statement: string): string {
  return statement.length > longestStatement ? `${statement.slice(0, longestStatement)} …` : statement;
}
