import { once } from 'node:events';
import { relative } from 'node:path';
import type { Session } from '../db/connect.ts';
import { connectionClosed, isConnectionLost, isServerError, serverErrorOf } from '../db/explain-error.ts';
import { EduschemaError } from '../errors.ts';
import { excerptAt, findPlace, offsetOfPosition } from '../sql/excerpt.ts';
import { codeOf, type FailedMigration, hintFor } from './failure.ts';
import { hintOf, lendSql, refusal } from './lent-sql.ts';
import type { CallContext, PreparedModule } from './prepare.ts';
import type { RunSettings } from './run-settings.ts';

/** Runs `up` or `down` of a TypeScript migration, or a hook. Throws, naming the query and the line. */
export async function runModule(
  session: Session,
  { call, transaction, unit }: PreparedModule,
  migration: FailedMigration,
  { signal, log, journal }: CallContext & Pick<RunSettings, 'journal'>,
): Promise<void> {
  const { path } = unit.file;
  const lent = lendSql(session.sql as never, { transaction, journal, isOpen: session.isOpen });
  const { boundaries } = session.tap;
  try {
    await session.preparing(() => orInterrupted(signal, async () => call(lent.sql, { signal, log })));
  } catch (error) {
    await lent.takeBack();
    const ended =
      transaction && (session.tap.transaction === 'none' || session.tap.boundaries !== boundaries);
    const outcome = () => 'it ended the transaction that it runs in: what it committed itself stays';
    throw moduleFailed(reasonOf(error, session), path, ended ? { ...migration, outcome } : migration);
  }
  const left = await lent.takeBack();
  if (!session.isOpen()) throw moduleFailed(reasonOf(connectionClosed(), session), path, migration);
  if (left !== undefined) throw moduleFailed(refusal(left, 'await every query'), path, migration);
}

/** A server that ends the session says why; the driver forgets it when the connection closes. */
function reasonOf(error: unknown, { tap }: Session): unknown {
  return isConnectionLost(error) && tap.fatal ? serverErrorOf(tap.fatal) : error;
}

/** Code may wait for something that never comes, and need not look at the signal. */
async function orInterrupted(signal: AbortSignal | undefined, run: () => Promise<unknown>): Promise<void> {
  if (!signal) return void (await run());
  const stop = new AbortController();
  const interrupted = once(signal, 'abort', { signal: stop.signal }).then(
    () => signal.throwIfAborted(),
    () => {},
  );
  try {
    await Promise.race([run(), interrupted]);
  } finally {
    stop.abort();
  }
}

function moduleFailed(error: unknown, path: string | undefined, migration: FailedMigration): EduschemaError {
  if (error instanceof EduschemaError) return error;
  const server = isServerError(error) ? error : undefined;
  const query = (error as { query?: string } | undefined)?.query;
  const thrown = error instanceof Error ? error : new Error(String(error));
  const line = path === undefined ? undefined : findLine(thrown.stack ?? '', path);
  const shown =
    query && server?.position
      ? ['', excerptAt(query, findPlace(query, offsetOfPosition(query, 0, Number(server.position))))]
      : [];
  const told = [
    thrown.message,
    server?.detail,
    query && !server?.position ? `in: ${query.trim().split('\n')[0]}` : undefined,
  ];
  const outcome = migration.outcome();
  return new EduschemaError(
    codeOf(migration),
    `${migration.title} failed${line ? ` at line ${line} of` : ' in'} ${migration.file}${server ? ` (${server.code})` : ''}`,
    {
      excerpt: [
        ...told.filter((text) => text !== undefined).map((text) => `  ${text}`),
        ...shown,
        '',
        outcome,
      ].join('\n'),
      hint: server?.hint ?? hintOf(error) ?? hintFor(undefined, migration),
      cause: error,
      details: {
        file: migration.file,
        line,
        statement: query,
        sqlstate: server?.code,
        reason: thrown.message,
        detail: server?.detail,
        outcome,
      },
    },
  );
}

/** The line of the first frame of a stack that lies in the migration's file. */
function findLine(stack: string, path: string): number | undefined {
  const at = stack
    .split('\n')
    .find((frame) => frame.includes(path) || frame.includes(relative(process.cwd(), path)));
  const line = at && /:(\d+):\d+\)?$/.exec(at.trim())?.[1];
  return line ? Number(line) : undefined;
}
