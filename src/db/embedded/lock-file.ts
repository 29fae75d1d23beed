import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EduschemaError } from '../../errors.ts';
import { findProcess, isRunning, type ProcessIdentity } from './process-identity.ts';

const pollInterval = 20;
/** Setting up a server takes seconds, even on a slow machine. */
const longestWait = 120_000;
/** A file whose writer was killed between creating and filling it. */
const longestWrite = 5_000;

/**
 * Runs `use` while no other process does so with the same `path`. The lock of a process that has died is taken over.
 * Throws an EduschemaError `lock-held` when a living one keeps it for two minutes.
 */
export async function withLockFile<T>(path: string, use: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + longestWait; !tryLock(path); await sleep(pollInterval)) {
    if (isStale(path)) removeStale(path);
    else if (Date.now() > deadline) throw describeHolder(path);
  }
  try {
    return await use();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    writeSync(file, JSON.stringify(findProcess(process.pid)));
    return true;
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

function isStale(path: string): boolean {
  const holder = readHolder(path);
  return holder === undefined ? isOlderThan(path, longestWrite) : !isRunning(holder);
}

/**
 * Of several processes that find a stale lock, one removes it, under a lock of its own: otherwise a slow one would
 * remove the lock that a fast one has just taken.
 */
function removeStale(path: string): void {
  const removal = `${path}.removal`;
  if (isOlderThan(removal, longestWrite)) rmSync(removal, { force: true });
  if (!tryLock(removal)) return;
  try {
    if (isStale(path)) rmSync(path, { force: true });
  } finally {
    rmSync(removal, { force: true });
  }
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

function isOlderThan(path: string, age: number): boolean {
  const file = statSync(path, { throwIfNoEntry: false });
  return file !== undefined && Date.now() - file.mtimeMs > age;
}

function describeHolder(path: string): EduschemaError {
  const holder = readHolder(path);
  return new EduschemaError(
    'lock-held',
    `another eduschema (process ${holder?.pid}) has been starting or stopping the embedded server for two minutes`,
    {
      hint: `wait for it or end it; if it does not exist, remove ${path}`,
      details: { pid: holder?.pid },
    },
  );
}
