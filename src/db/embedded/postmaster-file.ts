import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a running server writes into `postmaster.pid`: https://www.postgresql.org/docs/current/storage-file-layout.html */
export interface PostmasterFile {
  readonly pid: number;
  /** As the server knows it: another one when the folder was moved or copied meanwhile. */
  readonly dataFolder: string;
  readonly port: number;
  readonly status: 'starting' | 'stopping' | 'ready' | 'standby' | undefined;
}

/** Reads the file of the server on `dataFolder`; undefined when there is none, or while it is being written. */
export function readPostmasterFile(dataFolder: string): PostmasterFile | undefined {
  const lines = readLines(dataFolder);
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  return {
    pid,
    dataFolder: lines[1] ?? '',
    port: Number(lines[3]),
    status: lines[7]?.trim() as PostmasterFile['status'],
  };
}

/** No system gives a process this number. */
const nobodysPid = 2_147_483_646;

/**
 * Tells the next server that the one in the file is gone, when its pid now belongs to somebody else. The file stays,
 * since its seventh line lets that server see whether processes of the old one still hold the shared memory.
 */
export function disownPostmasterFile(dataFolder: string): void {
  const lines = readLines(dataFolder);
  if (lines.length > 1)
    writeFileSync(join(dataFolder, 'postmaster.pid'), [nobodysPid, ...lines.slice(1)].join('\n'));
}

function readLines(dataFolder: string): string[] {
  try {
    return readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8').split('\n');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
