import { setTimeout as sleep } from 'node:timers/promises';
import { EduschemaError } from '../errors.ts';
import { adviceOn, describeBlocker } from './blockers.ts';
import type { Database, Session } from './connect.ts';
import { isServerError } from './explain-error.ts';
import { climbLockLadder } from './lock-ladder.ts';
import {
  defaultLockDeadlineSeconds,
  defaultLockTimeout,
  defaultQueueLimit,
  type LockSettings,
  type WatchSettings,
} from './lock-settings.ts';
import { oldestHolder } from './lock-wait.ts';
import { millisecondsOf } from './milliseconds.ts';
import { createWatch, type Watch } from './watch-session.ts';

/** A transaction of this age will mostly go on for longer than a try may wait. */
const oldHolderSeconds = 1;
const longestHoldOffMs = 5000;
/** Two answers of a server that takes 100 ms for each, and the time before it is asked. */
const longEnoughToSeeMs = 300;

/**
 * Runs a transaction until it gets its locks: each attempt is the whole transaction again, with a
 * lock timeout from the ladder. An attempt behind which too many sessions queue lets go early, and none begins
 * while an old transaction still holds the lock that the last one wanted, unless that takes too long.
 * A lock timeout of 0 waits without a limit, once.
 * Throws the error of the last attempt, with the sessions that were in the way.
 */
export async function withLockRetries<T>(
  database: Database,
  worker: Session,
  settings: WatchSettings,
  attempt: (lockTimeout: string) => Promise<T>,
): Promise<T> {
  const longestMs = millisecondsOf(settings.lockTimeout ?? defaultLockTimeout, 'lock timeout');
  const watch = createWatch(database, worker, settings);
  if (longestMs === 0) return watch.during(() => attempt('0'), { patienceMs: 0, queueLimit: 0 });
  const queueLimit = settings.queueLimit ?? defaultQueueLimit;
  const failed = { attempts: 0, letGo: 0 };
  const isLockProblem = (error: unknown) => hasCode(error, watch.letGo ? [...lockCodes, '57014'] : lockCodes);
  try {
    return await climbLockLadder(
      async (lockTimeoutMs) => {
        try {
          return await watch.during(() => attempt(`${lockTimeoutMs}ms`), { patienceMs: 0, queueLimit });
        } catch (error) {
          failed.attempts++;
          if (watch.letGo) failed.letGo++;
          // Our cancel may have hit the ROLLBACK.
          if (worker.tap.transaction !== 'none') await worker.sql.unsafe('ROLLBACK').catch(() => {});
          throw error;
        }
      },
      {
        longestMs,
        deadlineSeconds: settings.lockDeadlineSeconds ?? defaultLockDeadlineSeconds,
        signal: settings.signal,
        atLeastMs: () => Math.max(autovacuumMs(watch), failed.attempts > 0 ? unseenMs(watch) : 0),
        isRetryable: (error) => !settings.signal?.aborted && isLockProblem(error),
        onRetry: (attempts, pauseMs) => settings.onProgress?.({ type: 'retrying', attempts, pauseMs }),
        beforeRetry: (attempts, leftMs) =>
          holdOff(database, watch, settings, Math.min(leftMs, 500 * 2 ** attempts, longestHoldOffMs)),
      },
    );
  } catch (error) {
    throw isLockProblem(error) && error instanceof EduschemaError
      ? explain(error, watch, { ...failed, queueLimit })
      : error;
  }
}

/** How long a try must wait so that autovacuum gives way, when nobody else was in the way of the last one. */
function autovacuumMs({ blockers, wait }: Watch): number {
  const roots = blockers.filter(({ root }) => root);
  const alone = roots.length > 0 && roots.every(({ kind }) => kind === 'autovacuum');
  return alone && wait ? Math.ceil(wait.deadlockTimeoutMs * 1.1) + 100 : 0;
}

/** A try that ends before the server has said who is in the way names nobody: the next one waits for a slow answer. */
function unseenMs({ blockers }: Watch): number {
  return blockers.length === 0 ? longEnoughToSeeMs : 0;
}

/** Did not get a lock in time; was chosen to end a deadlock. */
const lockCodes = ['55P03', '40P01'];

function hasCode(error: unknown, codes: readonly string[]): boolean {
  const cause = error instanceof EduschemaError ? error.cause : error;
  return isServerError(cause) && codes.includes(cause.code);
}

/** Waits, for `limitMs` at most, until no old transaction holds what the last attempt waited for. */
async function holdOff(
  { sql }: Database,
  { wait }: Watch,
  { signal, onProgress }: LockSettings,
  limitMs: number,
): Promise<void> {
  const until = performance.now() + limitMs;
  for (let told = false; wait?.relation && performance.now() < until; told = true) {
    const holderSeconds = await oldestHolder(sql, wait).catch(() => 0);
    if (holderSeconds < oldHolderSeconds) return;
    if (!told) onProgress?.({ type: 'holding-off', relation: wait.relation, holderSeconds });
    await sleep(Math.max(0, Math.min(250, until - performance.now())), undefined, signal ? { signal } : {});
  }
}

interface Failed {
  readonly attempts: number;
  readonly letGo: number;
  readonly queueLimit: number;
}

function explain(
  error: EduschemaError,
  { blockers }: Watch,
  { attempts, letGo, queueLimit }: Failed,
): EduschemaError {
  const lines = [
    ...blockers
      .slice(0, 5)
      .flatMap((blocker) => [
        `  in the way: ${describeBlocker(blocker)}`,
        ...[adviceOn(blocker)].filter(Boolean).map((advice) => `    ${advice}`),
      ]),
    blockers.length > 5 ? `  and ${blockers.length - 5} more` : '',
    `  tried ${timesOf(attempts)}`,
    letGo > 0
      ? `  let go ${timesOf(letGo)}, as more than ${queueLimit} queued behind it (--queue-limit)`
      : '',
    error.excerpt,
  ];
  return new EduschemaError(error.code, error.message, {
    excerpt: lines.filter(Boolean).join('\n'),
    hint: 'end what is in the way, or try later; --lock-deadline says how long to go on trying',
    cause: error.cause,
    details: { ...error.details, blockers, attempts, letGo },
  });
}

const timesOf = (count: number) => (count === 1 ? 'once' : `${count} times`);
