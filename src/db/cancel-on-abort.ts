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
  let timer: NodeJS.Timeout | undefined;
  const cancel = () => {
    const send = () =>
      void (
        worker.pooled ? worker.cancel() : look(database.sql, `SELECT pg_cancel_backend(${worker.facts.pid})`)
      ).catch(() => {});
    send();
    timer = setInterval(send, againMs);
  };
  signal?.addEventListener('abort', cancel, { once: true });
  return () => {
    clearInterval(timer);
    signal?.removeEventListener('abort', cancel);
  };
}
