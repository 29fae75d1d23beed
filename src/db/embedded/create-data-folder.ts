import { spawn } from 'node:child_process';
import { chownSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Account } from './account.ts';
import { type Binaries, programPath } from './binaries.ts';
import { explainFileError } from './explain-file-error.ts';
import { explainServerLog } from './explain-server-log.ts';
import { type ProgramOptions, runProgram, spawnSettings } from './program.ts';

export interface NewDataFolder {
  readonly binaries: Binaries;
  readonly account: Account | undefined;
  /** Made here, complete or not at all; the folder above it exists, and `account` can enter it. */
  readonly dataFolder: string;
  /** The database to create in it. */
  readonly database: string;
  /** Of the superuser `postgres`. */
  readonly password: string;
}

/**
 * With `C.UTF-8` PostgreSQL takes Hangul for letters and sorts by code point. Where it is missing (older systems,
 * Windows) another UTF-8 locale does the first as well.
 */
const locales =
  process.platform === 'win32' ? ['en-US'] : ['C.UTF-8', 'en_US.UTF-8', 'ko_KR.UTF-8', 'en_GB.UTF-8'];

const failure = 'the embedded PostgreSQL cannot be set up';

/**
 * Makes the data folder of a new server. Throws an EduschemaError `embedded-failed` when that does not work;
 * nothing is left behind then.
 */
export async function createDataFolder(options: NewDataFolder): Promise<void> {
  const { account, dataFolder } = options;
  const work = `${dataFolder}.new`;
  rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  try {
    makeFolder(work, account);
    const cluster = join(work, 'data');
    await initialise(cluster, work, options);
    renameSync(cluster, dataFolder);
  } catch (error) {
    throw explainFileError(error, failure, dirname(dataFolder));
  } finally {
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Writes the new data folder from the system's memory to the disk, in the background: it can take seconds. */
export function syncDataFolder(options: NewDataFolder): void {
  const { binaries, dataFolder, account } = options;
  const settings = spawnSettings({ account, cwd: dirname(dataFolder) });
  const child = spawn(programPath(binaries, 'initdb'), ['--sync-only', '-D', dataFolder], {
    ...settings,
    detached: true,
    stdio: 'ignore',
  });
  child.on('error', () => {});
  child.unref();
}

function makeFolder(folder: string, account: Account | undefined): void {
  mkdirSync(folder, { mode: 0o700 });
  if (account) chownSync(folder, account.uid, account.gid);
}

async function initialise(cluster: string, work: string, options: NewDataFolder): Promise<void> {
  const { account, password, binaries } = options;
  const passwordFile = join(work, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (account) chownSync(passwordFile, account.uid, account.gid);
  const program: ProgramOptions = { account, cwd: work };
  let output = '';
  for (const locale of locales) {
    rmSync(cluster, { recursive: true, force: true });
    const made = await runProgram(
      programPath(binaries, 'initdb'),
      [
        '-D',
        cluster,
        '-U',
        'postgres',
        '-E',
        'UTF8',
        `--locale=${locale}`,
        '-A',
        'scram-sha-256',
        `--pwfile=${passwordFile}`,
        '-N',
      ],
      program,
    );
    output = made.output;
    if (made.exitCode === 0) {
      if (await createDatabase(cluster, program, options)) return;
      output = `With the locale ${locale} PostgreSQL does not take Hangul for letters.`;
    } else if (!/invalid locale name|encoding mismatch/.test(output)) break;
  }
  throw explainServerLog(output, failure);
}

/**
 * Creates the database before any server has run, so that a data folder always has it. False when letters beyond
 * ASCII are not letters to this cluster (pg_trgm would find nothing in Hangul text).
 */
async function createDatabase(
  cluster: string,
  program: ProgramOptions,
  { binaries, database }: NewDataFolder,
): Promise<boolean> {
  const result = await runProgram(
    programPath(binaries, 'postgres'),
    ['--single', '-F', '-D', cluster, 'template1'],
    {
      ...program,
      input: `SELECT '교' ~ '^[[:alpha:]]$' AND upper('é') = 'É' AS letters;\nCREATE DATABASE ${database};\n`,
    },
  );
  if (result.exitCode !== 0 || /ERROR|FATAL|PANIC/.test(result.output)) {
    throw explainServerLog(result.output, failure);
  }
  return result.output.includes('letters = "t"');
}
