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

/** Runs `ask` in the session itself, which nobody else watches: the signal cancels what it waits for. */
export async function interruptible<T>(
  session: Pick<Session, 'cancel'>,
  signal: AbortSignal | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const stop = sendOnAbort(signal, () => session.cancel());
  try {
    return await ask();
  } finally {
    stop();
  }
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
