import type { Database, Session } from '../db/connect.ts';
import { isServerError } from '../db/explain-error.ts';
import { type Blocker, climbLockLadder, describeBlocker, listBlockers } from '../db/lock-ladder.ts';
import { EduschemaError } from '../errors.ts';
import { defaultLockDeadlineSeconds, defaultLockTimeout, type MigrationSettings } from './settings.ts';

/** An attempt that is quicker waits for nobody worth naming. */
const firstLookMs = 60;
const nextLookMs = 250;

/**
 * Runs a migration in a transaction until it gets its locks: each attempt is the whole transaction again, with a
 * lock timeout from the ladder. Meanwhile the session that holds the turn looks who is in the way. A lock timeout
 * of 0 waits without a limit, once.
 * Throws the error of the last attempt, with the sessions that were in the way.
 */
export async function withLockRetries(
  database: Database,
  worker: Session,
  settings: MigrationSettings,
  attempt: (lockTimeout: string) => Promise<void>,
): Promise<void> {
  const longestMs = millisecondsOf(settings.lockTimeout ?? defaultLockTimeout);
  if (longestMs === 0) return attempt('0');
  let blockers: readonly Blocker[] = [];
  try {
    await climbLockLadder(
      async (lockTimeoutMs) => {
        const stop = lookForBlockers(database, worker, (found) => {
          if (!samePids(blockers, found)) settings.onProgress?.({ type: 'blocked', blockers: found });
          blockers = found;
        });
        try {
          await attempt(`${lockTimeoutMs}ms`);
        } finally {
          stop();
        }
      },
      {
        longestMs,
        deadlineSeconds: settings.lockDeadlineSeconds ?? defaultLockDeadlineSeconds,
        signal: settings.signal,
        isRetryable: (error) => !settings.signal?.aborted && isLockProblem(error),
        onRetry: (attempts, pauseMs) => settings.onProgress?.({ type: 'retrying', attempts, pauseMs }),
      },
    );
  } catch (error) {
    throw isLockProblem(error) && error instanceof EduschemaError ? withBlockers(error, blockers) : error;
  }
}

/** The transaction did not get a lock in time, or was chosen to end a deadlock. */
function isLockProblem(error: unknown): boolean {
  const cause = error instanceof EduschemaError ? error.cause : error;
  return isServerError(cause) && (cause.code === '55P03' || cause.code === '40P01');
}

function lookForBlockers(
  database: Database,
  worker: Session,
  onFound: (blockers: readonly Blocker[]) => void,
): () => void {
  let timer = setTimeout(look, firstLookMs);
  let stopped = false;
  async function look() {
    const found = await listBlockers(database.sql, worker.facts.pid).catch(() => []);
    if (stopped) return;
    if (found.length > 0) onFound(found);
    timer = setTimeout(look, nextLookMs);
  }
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function samePids(a: readonly Blocker[], b: readonly Blocker[]): boolean {
  return a.length === b.length && a.every(({ pid }, index) => b[index]?.pid === pid);
}

function withBlockers(error: EduschemaError, blockers: readonly Blocker[]): EduschemaError {
  const lines = blockers.map((blocker) => `  in the way: ${describeBlocker(blocker)}`);
  return new EduschemaError(error.code, error.message, {
    excerpt: [...lines, error.excerpt].filter(Boolean).join('\n'),
    hint: 'end what is in the way, or try later; --lock-deadline says how long to go on trying',
    cause: error.cause,
    details: { ...error.details, blockers },
  });
}

const units: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A time as PostgreSQL writes it (`500ms`, `2s`, a number of milliseconds) in milliseconds. */
function millisecondsOf(time: string): number {
  const [, number = '', unit = 'ms'] = /^([\d.]+)\s*(us|ms|s|min|h|d)?$/.exec(time) ?? [];
  const milliseconds = Number(number) * (units[unit] ?? Number.NaN);
  if (number !== '' && Number.isFinite(milliseconds)) return milliseconds;
  throw new EduschemaError('config-invalid', `the lock timeout "${time}" is no time`, {
    hint: 'as in 500ms, 2s, 0',
  });
}
