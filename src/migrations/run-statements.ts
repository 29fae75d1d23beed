import type { Session } from '../db/connect.ts';
import { copyFromFile, copyFromText } from '../db/copy.ts';
import { sendPipelined } from '../db/pipeline.ts';
import { EduschemaError } from '../errors.ts';
import { offsetOfPosition } from '../sql/excerpt.ts';
import { groupStatements, type StatementGroup } from '../sql/group.ts';
import type { FileRange, Statement, TextRange } from '../sql/split.ts';
import { type FailedMigration, statementFailed } from './failure.ts';

/** A message to the server: text of ours, or statements of the migration. */
interface Part {
  readonly message: string;
  readonly group: StatementGroup | undefined;
}

/**
 * Runs a migration's statements between messages of ours, `before` and `after`, all in the transaction that they
 * open. Nothing waits for an answer but COPY, so that a small migration costs one round trip.
 * Throws `migration-failed`, naming the statement.
 */
export async function runStatements(
  session: Session,
  migration: FailedMigration,
  statements: readonly Statement[],
  before: readonly string[],
  after: readonly string[],
): Promise<void> {
  const ours = (message: string): Part => ({ message, group: undefined });
  let parts = before.map(ours);
  for (const group of groupStatements(migration.text, statements)) {
    const part = { message: migration.text.slice(group.start, group.end), group };
    if (group.copy) {
      await send(session, migration, statements, parts);
      await copy(session, migration, statements, part.message, group);
      parts = [];
    } else {
      parts.push(part);
    }
  }
  await send(session, migration, statements, [...parts, ...after.map(ours)]);
}

async function send(
  session: Session,
  migration: FailedMigration,
  statements: readonly Statement[],
  parts: readonly Part[],
): Promise<void> {
  const failure = await sendPipelined(
    session,
    parts.map(({ message }) => message),
  );
  if (!failure) return;
  const group = parts[failure.index]?.group;
  throw statementFailed(migration, {
    error: failure.error,
    statement: group && findFailed(migration.text, statements, group, failure),
    messageStart: group?.start,
  });
}

async function copy(
  session: Session,
  migration: FailedMigration,
  statements: readonly Statement[],
  message: string,
  group: StatementGroup,
): Promise<void> {
  const data = group.copy as TextRange | FileRange;
  try {
    await ('path' in data
      ? copyFromFile(session, message, data)
      : copyFromText(session, message, migration.text, data.start, data.end));
  } catch (error) {
    if (error instanceof EduschemaError) throw error;
    throw statementFailed(migration, { error, statement: statements[group.from], messageStart: group.start });
  }
}

/** The statement in which PostgreSQL's position lies, else the one after those that were completed. */
function findFailed(
  text: string,
  statements: readonly Statement[],
  group: StatementGroup,
  { error, completed }: { error: unknown; completed: number },
): Statement | undefined {
  const position = Number((error as { position?: string }).position);
  if (!Number.isFinite(position)) return statements[Math.min(group.from + completed, group.to - 1)];
  const at = offsetOfPosition(text, group.start, position);
  return statements.slice(group.from, group.to).find(({ end }) => at <= end);
}
