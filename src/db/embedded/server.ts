import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { EduschemaError } from '../../errors.ts';
import { commonHome, findDataPlace } from './data-place.ts';
import {
  type EmbeddedOptions,
  type EmbeddedServer,
  ensureServer,
  findServer,
  readDataVersion,
} from './ensure-server.ts';
import { explainFileError } from './explain-file-error.ts';
import { findLivingPostmaster, findPostmaster } from './find-postmaster.ts';
import { findLeases, takeLease } from './lease.ts';
import { withLockFile } from './lock-file.ts';
import { ensureServerFolder, isKept, type ServerFiles, serverFiles } from './server-files.ts';
import { stopServer } from './stop-server.ts';

/** Whether there is an embedded server, and what it is doing. */
export interface EmbeddedStatus {
  readonly running: EmbeddedServer | undefined;
  /** Undefined before the first start. */
  readonly dataFolder: string | undefined;
  /** The major version of the data: `18`; undefined also where the data does not say. */
  readonly dataVersion: string | undefined;
  /** The pids of the commands that use it now. */
  readonly usedBy: readonly number[];
}

const failure = 'the embedded PostgreSQL cannot be used';

/**
 * Lends the project's embedded server to `use`, after setting it up and starting it if need be. It stops afterwards,
 * unless another command still uses it or `db start` keeps it.
 * Throws an EduschemaError that says why when it does not start.
 */
export async function withEmbeddedServer<T>(
  options: EmbeddedOptions,
  use: (server: EmbeddedServer) => Promise<T>,
): Promise<T> {
  const files = serverFiles(options.folder);
  let release = () => {};
  const server = await locked(files, async () => {
    release = takeLease(files.leases);
    try {
      return await ensureServer(files, options);
    } catch (error) {
      release();
      throw error;
    }
  });
  try {
    return await use(server);
  } finally {
    await locked(files, async () => {
      release();
      await stopUnused(files);
    });
  }
}

/** Starts the server and keeps it until stopEmbedded. */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const files = serverFiles(options.folder);
  return locked(files, async () => {
    const server = await ensureServer(files, options);
    writeFileSync(files.kept, `${server.pid}\n`);
    return { ...server, kept: true };
  });
}

/**
 * No longer keeps the server: stops it, or, while other commands use it, leaves that to the last of them.
 * Returns what was found, so `running` says whether there was one and `usedBy` whether it still runs.
 */
export async function stopEmbedded({ folder }: EmbeddedOptions): Promise<EmbeddedStatus> {
  const files = serverFiles(folder);
  if (!existsSync(folder)) return findEmbeddedStatus({ folder });
  return locked(files, async () => {
    const status = await findStatus(files);
    rmSync(files.kept, { force: true });
    await stopUnused(files);
    return status;
  });
}

/** Says what there is. Starts nothing and makes nothing. */
export async function findEmbeddedStatus({ folder }: EmbeddedOptions): Promise<EmbeddedStatus> {
  if (!existsSync(folder)) {
    return { running: undefined, dataFolder: undefined, dataVersion: undefined, usedBy: [] };
  }
  try {
    return await findStatus(serverFiles(folder));
  } catch (error) {
    throw explainFileError(error, failure, folder);
  }
}

/**
 * Stops the server and removes it with all its data. Throws an EduschemaError `lock-held` while another command uses it.
 * Returns the folder that was removed, or undefined when there was none.
 */
export async function resetEmbedded({ folder }: EmbeddedOptions): Promise<string | undefined> {
  if (!existsSync(folder)) return undefined;
  const files = serverFiles(folder);
  return locked(files, async () => {
    const usedBy = findLeases(files.leases);
    if (usedBy.length > 0) throw describeUse(usedBy);
    rmSync(files.kept, { force: true });
    await stopUnused(files);
    const place = findDataPlace(files);
    if (place) rmSync(place.dataFolder, { recursive: true, force: true, maxRetries: 5 });
    if (place?.dataFolder.startsWith(`${commonHome}/`))
      rmSync(dirname(place.dataFolder), { recursive: true, force: true });
    for (const path of [files.state, files.password, files.log]) rmSync(path, { force: true });
    return place?.dataFolder;
  });
}

/** The server's URL with its password. */
export function renderServerUrl({ target }: EmbeddedServer): string {
  const [address] = target.hosts;
  const password = encodeURIComponent(String(target.password));
  return `postgres://${target.user}:${password}@${address?.host}:${address?.port}/${target.database}`;
}

async function locked<T>(files: ServerFiles, use: () => Promise<T>): Promise<T> {
  try {
    ensureServerFolder(files);
    return await withLockFile(files.lock, use);
  } catch (error) {
    throw explainFileError(error, failure, files.folder);
  }
}

async function stopUnused(files: ServerFiles): Promise<void> {
  if (findLeases(files.leases).length > 0) return;
  const dataFolder = findDataPlace(files)?.dataFolder;
  const running = dataFolder === undefined ? undefined : await findPostmaster(dataFolder);
  if (running && !isKept(files, running.pid)) await stopServer(running.pid);
}

async function findStatus(files: ServerFiles): Promise<EmbeddedStatus> {
  const dataFolder = findDataPlace(files)?.dataFolder;
  const isUp = dataFolder !== undefined && findLivingPostmaster(dataFolder)?.status === 'ready';
  return {
    running: isUp ? await findServer(files) : undefined,
    dataFolder,
    dataVersion: dataFolder === undefined ? undefined : readDataVersion(dataFolder),
    usedBy: findLeases(files.leases),
  };
}

function describeUse(pids: readonly number[]): EduschemaError {
  return new EduschemaError('lock-held', `the embedded server is in use by process ${pids.join(', ')}`, {
    hint: 'wait until that command ends, or end it',
    details: { pids },
  });
}
