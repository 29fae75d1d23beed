import type { TransactionSql } from 'postgres';
import { EduschemaError } from '../errors.ts';
import {
  demandHeldBy,
  findHolder,
  isHeldBy,
  type LockHolder,
  type LockKey,
  lockKeyOf,
  withAdvisoryLock,
} from './advisory-lock.ts';
import { cancelOnAbort, interrupted } from './cancel-on-abort.ts';
import type { Database, Session, SessionOptions } from './connect.ts';
import { checkDeadlockSoon } from './deadlock-timeout.ts';
import { isServerError } from './explain-error.ts';
import { quoteLiteral } from './identifiers.ts';
import { inTransaction } from './in-transaction.ts';
import { type AskForSession, withKeptSession } from './kept-session.ts';
import { withLockRetries } from './lock-retries.ts';
import type { PlannedStatement, Step } from './plan.ts';
import { watchSession } from './watch-session.ts';
import { defaultWaitSeconds, type WorkSettings } from './work-settings.ts';

/** A session that changes a database, while nobody else of us is at the same work. */
export interface Worker {
  readonly session: Session;
  /**
   * Runs `work` in a transaction on the lock ladder: all of it again when it did not get its locks. What the server
   * refuses becomes an EduschemaError that names `title`.
   */
  transaction<T>(title: string, work: (sql: TransactionSql) => Promise<T>): Promise<T>;
  /** Sends statements in one message, within a transaction of `transaction`; an error names `title` and the statement. */
  together(sql: TransactionSql, title: string, statements: readonly PlannedStatement[]): Promise<void>;
  /** Runs a statement outside a transaction, without a lock timeout, and watches it. */
  alone(title: string, statement: string): Promise<void>;
  /** Carries out a step of a plan. */
  carryOut(step: Step): Promise<void>;
}

/**
 * Opens a session for work on `subject` (`partitions of public.t`), when no other eduschema is at it, and closes it.
 * The turn is an advisory lock of the database's own session, which stays idle and looks at the worker; the worker
 * holds a second one, as the statement of a killed client goes on in the server. Before each step the turn is confirmed.
 * Throws `lock-held` when it does not come in time, `pooler-unsuitable` behind a pooler, and `interrupted` when the
 * signal comes; what was committed by then stays.
 */
export async function withWorker<T>(
  database: Database,
  subject: string,
  settings: WorkSettings,
  use: (worker: Worker) => Promise<T>,
): Promise<T> {
  return withKeptSession(database, workerSession(settings), (keep) =>
    withKeptWorker(database, subject, settings, keep, async (ask) => use(await ask())),
  );
}

/** A worker, whose session opens as soon as the turn has come. */
export type AskForWorker = () => Promise<Worker>;

/**
 * The same in a session that stays open for the next subject. `use` begins when the turn has come, while the session
 * opens: what is only looked at can be looked at in the database's own session by then.
 */
export async function withKeptWorker<T>(
  database: Database,
  subject: string,
  settings: WorkSettings,
  keep: AskForSession,
  use: (ask: AskForWorker) => Promise<T>,
): Promise<T> {
  if (database.pooled) throw behindPooler(subject);
  const turn = lockKeyOf(`turn of ${subject}`);
  const guard = lockKeyOf(`worker of ${subject}`);
  const wait = {
    waitSeconds: settings.waitSeconds ?? defaultWaitSeconds,
    signal: settings.signal,
    onWait: (holder: LockHolder) => settings.onProgress?.({ type: 'waiting', holder }),
  };
  await database.sql.unsafe('SET idle_session_timeout = 0; SET statement_timeout = 0');
  const inTheWay = () => findHolder(database.sql, guard);
  return withAdvisoryLock(database.sql, turn, inTheWay, wait, async () => {
    const guardLock = `(${guard.classId}, ${guard.objectId})`;
    const stops: (() => void)[] = [];
    const begin = async () => {
      const session = await keep();
      await session.sql.unsafe(
        [...openingOf(session, settings), `SELECT pg_advisory_lock${guardLock}`].join('; '),
      );
      stops.push(cancelOnAbort(database, session, settings.signal));
      return session;
    };
    const beginning = begin();
    // Whoever asks is told.
    beginning.catch(() => {});
    try {
      return await use(async () => {
        const session = await beginning;
        return createWorker(database, session, settings, { subject, key: turn });
      });
    } catch (error) {
      throw settings.signal?.aborted ? interrupted(error) : error;
    } finally {
      const session = await beginning.catch(() => undefined);
      for (const stop of stops) stop();
      await session?.sql.unsafe(`SELECT pg_advisory_unlock${guardLock}`).catch(() => {});
    }
  });
}

/** The session that a worker works in. */
export const workerSession = ({ onProgress }: Pick<WorkSettings, 'onProgress'>): SessionOptions => ({
  applicationName: 'eduschema worker',
  onNotice: ({ severity = '', message = '' }) => onProgress?.({ type: 'notice', severity, message }),
});

/** SQL with which the session of a worker begins. */
export function openingOf(
  { facts: { versionNumber } }: Session,
  { statementTimeout = '0', lockTimeout }: WorkSettings,
): string[] {
  return [
    `SET statement_timeout = ${quoteLiteral(statementTimeout)}`,
    'SET lock_timeout = 0',
    'SET idle_in_transaction_session_timeout = 0',
    'SET idle_session_timeout = 0',
    ...(versionNumber >= 170000 ? ['SET transaction_timeout = 0'] : []),
    ...(lockTimeout === '0' ? [] : [checkDeadlockSoon(versionNumber)]),
  ];
}

interface Turn {
  readonly subject: string;
  readonly key: LockKey;
}

function createWorker(
  database: Database,
  session: Session,
  settings: WorkSettings,
  { subject, key }: Turn,
): Worker {
  const { pid } = database.facts;
  const checkAlive = () => {
    settings.signal?.throwIfAborted();
    if (!database.isOpen()) throw turnLost(subject);
  };
  const confirmTurn = async () => {
    checkAlive();
    if (!(await isHeldBy(session.sql, key, pid))) throw turnLost(subject);
  };
  const transaction: Worker['transaction'] = async (title, work) => {
    await confirmTurn();
    return withLockRetries(database, session, settings, (lockTimeout) =>
      inTransaction(session, '', async (sql) => {
        await sql.unsafe(`SET LOCAL lock_timeout = ${quoteLiteral(lockTimeout)}`);
        return work(sql);
      }).catch((error) => {
        throw failed(title, error);
      }),
    );
  };
  const alone: Worker['alone'] = async (title, statement) => {
    await confirmTurn();
    await watchSession(database, session, settings, async () => {
      await session.sql.unsafe(statement).catch((error) => {
        throw failed(title, error, statement);
      });
    });
  };
  const together: Worker['together'] = async (sql, title, statements) => {
    if (statements.length === 0) return;
    session.tap.reset();
    await sql.unsafe(statements.map((statement) => statement.sql).join(';\n')).catch((error) => {
      throw failed(title, error, statements[session.tap.answers[0]?.completed ?? 0]?.sql);
    });
  };
  // One message: nobody who waits for its locks waits for the way between us and the server.
  const atOnce = async (title: string, statements: readonly PlannedStatement[], lockTimeout: string) => {
    checkAlive();
    const before = ['BEGIN', `SET LOCAL lock_timeout = ${quoteLiteral(lockTimeout)}`, demandHeldBy(key, pid)];
    session.tap.reset();
    try {
      await session.sql.unsafe([...before, ...statements.map(({ sql }) => sql), 'COMMIT'].join(';\n'));
    } catch (error) {
      const done = (session.tap.answers[0]?.completed ?? 0) - before.length;
      if (session.tap.transaction !== 'none') await session.sql.unsafe('ROLLBACK').catch(() => {});
      if (done === -1 && isServerError(error) && error.code === notHeld) throw turnLost(subject);
      throw failed(title, error, statements[done]?.sql);
    }
    if (session.tap.lastTag !== 'COMMIT') throw new Error(`COMMIT was answered by ${session.tap.lastTag}`);
  };
  return {
    session,
    transaction,
    together,
    alone,
    async carryOut({ title, transaction: inTransaction, statements }) {
      if (!inTransaction) for (const { sql } of statements) await alone(title, sql);
      else
        await withLockRetries(database, session, settings, (lockTimeout) =>
          atOnce(title, statements, lockTimeout),
        );
    },
  };
}

/** What `demandHeldBy` fails with. */
const notHeld = '22P02';

/** Names what was to be done, and shows the statement; an error that names its thing already stays as it is. */
function failed(title: string, error: unknown, statement?: string): unknown {
  if (!isServerError(error)) return error;
  const told = [error.message, error.detail, error.where].filter((line) => line !== undefined && line !== '');
  return new EduschemaError(
    error.code === '42501' ? 'permission-denied' : 'database-error',
    `cannot ${title} (${error.code})`,
    {
      excerpt: [...told.map((line) => `  ${line}`), ...(statement ? ['', `  ${statement}`] : [])].join('\n'),
      hint:
        error.hint ??
        (error.code === '42501'
          ? 'use a role that has this right (--role); what was done before stays, and the command can be run again'
          : 'what was done before stays; the command can be run again and goes on'),
      cause: error,
      details: { sqlstate: error.code, reason: error.message, ...(statement ? { statement } : {}) },
    },
  );
}

function behindPooler(subject: string): EduschemaError {
  return new EduschemaError(
    'pooler-unsuitable',
    `a connection pooler stands before the server, and work on the ${subject} needs a session of its own`,
    { hint: 'connect to the server directly; nothing was changed' },
  );
}

function turnLost(subject: string): EduschemaError {
  return new EduschemaError(
    'lock-held',
    `the session that keeps others away from the ${subject} was ended: another eduschema may be at work`,
    { hint: 'what was done stays; run the command again when the other is done' },
  );
}
