import { setTimeout as sleep } from 'node:timers/promises';
import { EduschemaError } from '../../errors.ts';
import { findProcess, isRunning } from './process-identity.ts';

const pollInterval = 10;
/** Milliseconds: the fast shutdown writes what is in memory, the immediate one leaves it to the next start. */
const longestFast = 30_000;
const longestImmediate = 10_000;

/**
 * Stops the server `pid` and returns when it is gone. Clients are disconnected.
 * https://www.postgresql.org/docs/current/server-shutdown.html
 */
export async function stopServer(pid: number): Promise<void> {
  if (await end(pid, 'SIGINT', longestFast)) return;
  if (await end(pid, 'SIGQUIT', longestImmediate)) return;
  throw new EduschemaError('embedded-failed', `the embedded server (process ${pid}) does not stop`, {
    hint: `end it yourself: kill -QUIT ${pid}`,
  });
}

async function end(pid: number, signal: NodeJS.Signals, timeout: number): Promise<boolean> {
  const server = findProcess(pid);
  if (server === undefined) return true;
  process.kill(pid, signal);
  for (const deadline = Date.now() + timeout; isRunning(server); await sleep(pollInterval)) {
    if (Date.now() > deadline) return false;
  }
  return true;
}
