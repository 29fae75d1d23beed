import { EduschemaError } from '../errors.ts';
import type { Database, Session } from './connect.ts';
import { look } from './look.ts';

const againMs = 250;

/**
 * Cancels the worker's statement on the server when the signal comes, again and again until it has heard.
 * Returns what stops that.
 */
export function cancelOnAbort(
  database: Database,
  worker: Session,
  signal: AbortSignal | undefined,
): () => void {
  return sendOnAbort(signal, () =>
    worker.pooled ? worker.cancel() : look(database.sql, `SELECT pg_cancel_backend(${worker.facts.pid})`),
  );
}

/** Runs `ask` in the session itself: the signal cancels what it waits for, and then it throws `interrupted`. */
export async function interruptible<T>(
  session: Pick<Session, 'cancel'>,
  signal: AbortSignal | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  if (signal?.aborted) throw interrupted(signal.reason);
  const stop = sendOnAbort(signal, () => session.cancel());
  try {
    return await ask();
  } catch (error) {
    throw signal?.aborted ? interrupted(error) : error;
  } finally {
    stop();
  }
}

/** The error of work that the signal ended. */
export function interrupted(cause: unknown): EduschemaError {
  if (cause instanceof EduschemaError && cause.code === 'interrupted') return cause;
  return new EduschemaError('interrupted', 'interrupted: what was done by then stays', {
    hint: 'run the command again to go on',
    cause,
  });
}

function sendOnAbort(signal: AbortSignal | undefined, cancel: () => Promise<unknown>): () => void {
  let timer: NodeJS.Timeout | undefined;
  const begin = () => {
    const send = () => void cancel().catch(() => {});
    send();
    timer = setInterval(send, againMs);
  };
  signal?.addEventListener('abort', begin, { once: true });
  return () => {
    clearInterval(timer);
    signal?.removeEventListener('abort', begin);
  };
}
