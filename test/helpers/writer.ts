import { setTimeout as sleep } from 'node:timers/promises';
import type { TestDatabase } from './database.ts';

/** An application that writes rows, one transaction each, until it is stopped. */
export interface Writer {
  /** Stops it, and says what became of its writes. */
  stop(): Promise<{
    readonly written: number;
    readonly errors: readonly string[];
    readonly longestMs: number;
  }>;
}

/** Starts to send `statement` every few milliseconds, in a session of its own. */
export function startWriter({ connect }: TestDatabase, statement: string, eachMs = 5): Writer {
  const sql = connect({ max: 1, connection: { application_name: 'writer' } });
  const errors: string[] = [];
  let [written, longestMs, stopped] = [0, 0, false];
  const running = (async () => {
    while (!stopped) {
      const started = performance.now();
      await sql.unsafe(statement).then(
        () => written++,
        (error) => errors.push(error.message),
      );
      longestMs = Math.max(longestMs, performance.now() - started);
      await sleep(eachMs);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await running;
      await sql.end();
      return { written, errors, longestMs };
    },
  };
}
