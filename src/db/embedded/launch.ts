import { spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EduschemaError } from '../../errors.ts';
import type { Account } from './account.ts';
import { type Binaries, programPath } from './binaries.ts';
import { explainServerLog } from './explain-server-log.ts';
import { readPostmasterFile } from './postmaster-file.ts';
import { spawnSettings } from './program.ts';

export interface Launch {
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  readonly dataFolder: string;
  readonly port: number;
  readonly logFile: string;
  /** Settings of postgresql.conf that win over the file. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Crash recovery after a long run can take a while; everything else takes a fraction of a second. */
const longestStart = 120_000;
const pollInterval = 10;

/**
 * Starts a server that outlives this process, and returns its pid once it accepts connections.
 * Throws an EduschemaError with the end of the server's log when it does not.
 */
export async function launch(options: Launch): Promise<number> {
  const { binaries, account, dataFolder, logFile } = options;
  const log = openSync(logFile, 'a', 0o600);
  const logStart = fstatSync(log).size;
  const child = spawn(programPath(binaries, 'postgres'), serverArguments(options), {
    ...spawnSettings({ account, cwd: dirname(dataFolder) }),
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let failure: Error | undefined;
  child.once('error', (error) => (failure = error));
  child.once('exit', (code, signal) => (failure = new Error(`the server ended (${signal ?? code})`)));
  for (const deadline = Date.now() + longestStart; Date.now() < deadline; await sleep(pollInterval)) {
    const running = readPostmasterFile(dataFolder);
    if (running?.pid === child.pid && running?.status === 'ready') {
      child.removeAllListeners();
      child.unref();
      return running.pid;
    }
    if (failure) throw explainStart(failure, logFile, logStart);
  }
  child.kill('SIGQUIT');
  throw explainStart(new Error(`no answer after ${longestStart / 1000} s`), logFile, logStart);
}

/** True for the error of `launch` when the port was taken in the meantime. */
export function isPortTaken(error: unknown): boolean {
  return (
    error instanceof EduschemaError && /could not bind|could not create any TCP/i.test(error.excerpt ?? '')
  );
}

/** True for the error of `launch` when processes of a killed server are not gone yet. */
export function isSharedMemoryTaken(error: unknown): boolean {
  return error instanceof EduschemaError && /pre-existing shared memory block/.test(error.excerpt ?? '');
}

function serverArguments({ dataFolder, port, settings }: Launch): string[] {
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // A socket's path may have no more than about 100 bytes.
    unix_socket_directories: '',
    ...settings,
  };
  return ['-D', dataFolder, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

function explainStart(cause: Error, logFile: string, logStart: number): EduschemaError {
  const log = readFileSync(logFile).subarray(logStart).toString('utf8');
  return explainServerLog(log || cause.message, 'the embedded PostgreSQL does not start');
}
