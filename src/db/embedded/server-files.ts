import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EduschemaError } from '../../errors.ts';
import { makeOpenFolder } from './account.ts';

/** What is in a project's `.eduschema`, as paths. */
export interface ServerFiles {
  readonly folder: string;
  readonly lock: string;
  readonly leases: string;
  /** Holds the pid of the server that `db start` keeps. */
  readonly kept: string;
  readonly state: string;
  readonly password: string;
  readonly log: string;
}

/** What is known of a server beyond its data. */
export interface ServerState {
  readonly port?: number;
  readonly version?: string;
}

/** The paths in `folder`; nothing is made. */
export function serverFiles(folder: string): ServerFiles {
  return {
    folder,
    lock: join(folder, 'lock'),
    leases: join(folder, 'leases'),
    kept: join(folder, 'kept'),
    state: join(folder, 'server.json'),
    password: join(folder, 'password'),
    log: join(folder, 'server.log'),
  };
}

/** Makes `.eduschema` where it is missing, which git ignores by a file of its own. */
export function ensureServerFolder({ folder }: ServerFiles): void {
  if (existsSync(join(folder, '.gitignore'))) return;
  // As root, the account of the server passes through; what is secret in it has its own mode.
  makeOpenFolder(folder);
  writeFileSync(join(folder, '.gitignore'), '*\n');
}

/** Reads what the last start wrote, or nothing. */
export function readServerState({ state }: ServerFiles): ServerState {
  return readJson(state) ?? {};
}

/** Keeps the port for the next start. */
export function writeServerState({ state }: ServerFiles, value: ServerState): void {
  writeFileSync(`${state}.new`, JSON.stringify(value));
  renameSync(`${state}.new`, state);
}

/** Reads the superuser's password. Throws an EduschemaError when its file is gone. */
export function readPassword({ password }: ServerFiles): string {
  if (!existsSync(password)) {
    throw new EduschemaError(
      'embedded-failed',
      `the password of the embedded server is gone: ${password} does not exist`,
      {
        hint: 'put the file back, or eduschema db reset starts empty',
      },
    );
  }
  return readFileSync(password, 'utf8').trim();
}

/** Makes a password for a new server, in a file that only its owner reads; one that is there already is taken. */
export function ensurePassword(files: ServerFiles): string {
  if (!existsSync(files.password)) {
    writeFileSync(`${files.password}.new`, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
    renameSync(`${files.password}.new`, files.password);
  }
  return readPassword(files);
}

/** True when `db start` keeps the server `pid`. */
export function isKept({ kept }: ServerFiles, pid: number): boolean {
  return existsSync(kept) && readFileSync(kept, 'utf8').trim() === String(pid);
}

function readJson(path: string): ServerState | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ServerState;
  } catch {
    return undefined;
  }
}
