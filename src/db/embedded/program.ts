import { spawn } from 'node:child_process';
import type { Account } from './account.ts';

/** What PostgreSQL's programs are started with: the account to run as, and a folder which that account can enter. */
export interface ProgramOptions {
  readonly account: Account | undefined;
  readonly cwd: string;
  readonly input?: string;
}

export interface ProgramResult {
  readonly exitCode: number;
  /** Both its streams. */
  readonly output: string;
}

/**
 * Options for spawn(). Nothing of our environment reaches PostgreSQL, whose programs read PGPORT, PGDATA, LC_ALL and
 * more from it. TZ spares initdb its search for the machine's time zone (0.1 s) and makes the server's UTC everywhere.
 */
export function spawnSettings({ account, cwd }: ProgramOptions) {
  return {
    cwd,
    ...(account ?? {}),
    ...(process.platform === 'win32' ? { windowsHide: true } : { env: { TZ: 'UTC' } }),
  };
}

/** Runs a program of PostgreSQL to its end. Throws the system's error when it cannot be started. */
export function runProgram(
  path: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { ...spawnSettings(options), stdio: 'pipe' });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ exitCode: code ?? 1, output }));
    // A program that ends before it has read all is judged by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}
