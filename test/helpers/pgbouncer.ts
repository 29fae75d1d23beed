import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chmodSync, chownSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';
import { findAccount } from '../../src/db/embedded/account.ts';
import { findFreePort } from '../../src/db/embedded/port.ts';

/** A PgBouncer of one test's own, before the server of this run. */
export interface Pooler {
  /** The URL of a database through it. */
  urlOf(databaseUrl: string): string;
  /** Kills it (SIGKILL), and resolves when another one answers in its place. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

export interface PoolerOptions {
  readonly mode?: 'transaction' | 'statement' | 'session';
  readonly poolSize?: number;
  /** The URL of a superuser on the server behind it; the one of this run without it. */
  readonly server?: string;
}

const program = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  .map((folder) => join(folder, 'pgbouncer'))
  .find(isExecutable);

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether PgBouncer is installed. Says so when it is not; REQUIRE_PGBOUNCER, which CI sets, makes that an error. */
export function hasPgBouncer(): boolean {
  if (program) return true;
  if (process.env.REQUIRE_PGBOUNCER)
    throw new Error('REQUIRE_PGBOUNCER is set, but pgbouncer is not installed');
  process.stderr.write(
    '\nNOT TESTED: poolers, as pgbouncer is not installed (apt-get install pgbouncer)\n\n',
  );
  return false;
}

/** Starts PgBouncer. It logs in as the superuser of the test server, whoever comes. */
export async function startPgBouncer({
  mode = 'transaction',
  poolSize = 5,
  server: serverUrl = inject('server').url,
}: PoolerOptions = {}): Promise<Pooler> {
  const server = new URL(serverUrl);
  const folder = mkdtempSync('/tmp/eduschema-pgbouncer-');
  chmodSync(folder, 0o755);
  const port = await findFreePort();
  const file = join(folder, 'pgbouncer.ini');
  // Everything else is PgBouncer's default: what a default configuration refuses must show here.
  writeFileSync(
    file,
    `[databases]
* = host=${server.hostname} port=${server.port || 5432} user=${server.username} password='${decodeURIComponent(server.password)}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
unix_socket_dir =
pool_mode = ${mode}
default_pool_size = ${poolSize}
`,
  );
  chmodSync(file, 0o644);
  // As root it refuses to run.
  const account = findAccount();
  if (account) chownSync(folder, account.uid, account.gid);
  let running = await launch(file, port, account);
  return {
    urlOf(databaseUrl) {
      const url = new URL(databaseUrl);
      url.host = `127.0.0.1:${port}`;
      return url.href;
    },
    async crash() {
      process.kill(running.pid, 'SIGKILL');
      await running.stop();
      running = await launch(file, port, account);
    },
    async stop() {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Lends a PgBouncer, and ends it whatever happens. */
export async function withPooler(
  options: PoolerOptions,
  use: (pooler: Pooler) => Promise<void>,
): Promise<void> {
  const pooler = await startPgBouncer(options);
  try {
    await use(pooler);
  } finally {
    await pooler.stop();
  }
}

interface Running {
  readonly pid: number;
  stop(): Promise<void>;
}

async function launch(file: string, port: number, account: ReturnType<typeof findAccount>): Promise<Running> {
  // Its input ends when we do, whatever we die of.
  const script = `${program} ${file} & pid=$!; echo $pid; cat >/dev/null; kill $pid; wait $pid`;
  const child = spawn('sh', ['-c', script], { stdio: 'pipe', detached: true, ...account });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let log = '';
  child.stderr.on('data', (text) => {
    log += text;
  });
  const pid = Number(String(await once(child.stdout, 'data')));
  await answers(port, child, () => log);
  return {
    pid,
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

async function answers(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) break;
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    // What answers may be another's, if this one could not have the port.
    if (open && !/FATAL/.test(log())) return;
    await sleep(25);
  }
  throw new Error(`PgBouncer does not start: ${log()}`);
}
