import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { disownPostmasterFile, type PostmasterFile, readPostmasterFile } from './postmaster-file.ts';
import { findCommandLine, findProcess } from './process-identity.ts';

const pollInterval = 10;

/**
 * Finds the server that runs on `dataFolder`, by its postmaster.pid and by what the process of that number really is.
 * One that is starting or stopping is waited for.
 */
export async function findPostmaster(dataFolder: string): Promise<PostmasterFile | undefined> {
  for (;;) {
    const file = findLivingPostmaster(dataFolder);
    if (file === undefined || file.status === 'ready') return file;
    await sleep(pollInterval);
  }
}

/** As findPostmaster, without waiting: its status tells whether it is ready. */
export function findLivingPostmaster(dataFolder: string): PostmasterFile | undefined {
  const file = readPostmasterFile(dataFolder);
  return file !== undefined && isPostmaster(file) && !isCopy(file, dataFolder) ? file : undefined;
}

/**
 * Makes way for a new server where the last one left its postmaster.pid and the pid is now another's, or a zombie's:
 * PostgreSQL asks no more than whether that pid exists, and would refuse to start.
 */
export function disownDeadPostmaster(dataFolder: string): void {
  if (readPostmasterFile(dataFolder) && !findLivingPostmaster(dataFolder)) disownPostmasterFile(dataFolder);
}

function isPostmaster({ pid, dataFolder }: PostmasterFile): boolean {
  if (findProcess(pid) === undefined) return false;
  const commandLine = findCommandLine(pid);
  // Where the system does not show it, a living pid has to do.
  return commandLine === undefined || commandLine.includes(dataFolder);
}

/** True when the folder was copied while its server ran. One that was moved is no copy. */
function isCopy(file: PostmasterFile, dataFolder: string): boolean {
  // A server stays in its folder, wherever that goes; where the system does not show it, the old path has to do.
  const theirs = identify(`/proc/${file.pid}/cwd`) ?? identify(file.dataFolder);
  return theirs !== undefined && theirs !== identify(dataFolder);
}

function identify(folder: string): string | undefined {
  try {
    const { dev, ino } = statSync(folder);
    return `${dev}/${ino}`;
  } catch {
    return undefined;
  }
}
