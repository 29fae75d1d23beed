import { setTimeout as sleep } from 'node:timers/promises';

export interface LadderOptions {
  /** The longest that one try may wait for a lock, in milliseconds. */
  readonly longestMs: number;
  /** Seconds after which no further try is made. */
  readonly deadlineSeconds: number;
  readonly signal?: AbortSignal | undefined;
  /** True for an error after which the whole attempt can be made again. */
  readonly isRetryable: (error: unknown) => boolean;
  /** Told before each pause. */
  readonly onRetry: (attempt: number, pauseMs: number) => void;
  /** The next try may wait for so long at least, within `longestMs`, whatever the ladder says. */
  readonly atLeastMs?: () => number;
  /** Waited for after a pause: `leftMs` is how long it may take for the next try to end before the deadline. */
  readonly beforeRetry?: (attempt: number, leftMs: number) => Promise<void>;
}

const firstMs = 100;

/**
 * How long try number `attempt` (from 0) may wait for a lock: 100 ms, half as much again every second try, up to
 * `longestMs`. Whoever wants the table queues behind a waiting ACCESS EXCLUSIVE lock, so that an application's
 * reads are delayed by as much: short tries that are repeated cost it little.
 * https://www.postgresql.org/docs/current/explicit-locking.html
 */
export function lockTimeoutOf(attempt: number, longestMs: number): number {
  return Math.min(Math.round(firstMs * 1.5 ** Math.floor(attempt / 2)), longestMs);
}

/** Milliseconds between tries: full jitter over half a second, doubled each time, up to a minute. */
export function pauseOf(attempt: number, random: number): number {
  return random * Math.min(60_000, 500 * 2 ** attempt);
}

/**
 * Makes an attempt again and again, each with a longer lock timeout, until it succeeds, fails for another reason,
 * or the deadline has passed; never a last try without a limit. Throws the error of the last try.
 */
export async function climbLockLadder<T>(
  attempt: (lockTimeoutMs: number) => Promise<T>,
  options: LadderOptions,
): Promise<T> {
  const deadline = performance.now() + options.deadlineSeconds * 1000;
  const timeoutOf = (tries: number) =>
    Math.min(
      Math.max(lockTimeoutOf(tries, options.longestMs), options.atLeastMs?.() ?? 0),
      options.longestMs,
    );
  for (let tries = 0; ; tries++) {
    try {
      return await attempt(timeoutOf(tries));
    } catch (error) {
      const pause = pauseOf(tries, Math.random());
      if (!options.isRetryable(error) || performance.now() + pause >= deadline) throw error;
      options.onRetry(tries + 1, pause);
      await sleep(pause, undefined, options.signal ? { signal: options.signal } : {});
      await options.beforeRetry?.(tries + 1, deadline - performance.now() - timeoutOf(tries + 1));
    }
  }
}
