import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProcess, isRunning, type ProcessIdentity } from './process-identity.ts';

/** Notes in `folder` that this process uses the server, and returns what takes the note away again. */
export function takeLease(folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${process.pid}-${randomBytes(4).toString('hex')}`);
  writeFileSync(path, JSON.stringify(findProcess(process.pid)));
  return () => rmSync(path, { force: true });
}

/** Finds the pids of the processes that use the server, and forgets those that died. Call it under the lock. */
export function findLeases(folder: string): number[] {
  const pids = new Set<number>();
  for (const name of listFiles(folder)) {
    const path = join(folder, name);
    const holder = readHolder(path);
    if (holder && isRunning(holder)) pids.add(holder.pid);
    else rmSync(path, { force: true });
  }
  return [...pids];
}

/** Undefined for a lease whose taker was killed while writing it. */
function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
