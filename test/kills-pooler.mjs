// A PgBouncer for test/kills.mjs, which must be installed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Starts PgBouncer in transaction mode before the server of `url`. `crash` kills it, and starts another one. */
export async function startPooler(url) {
  const server = new URL(url);
  const folder = mkdtempSync('/tmp/eduschema-kills-pgbouncer-');
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]
* = host=${server.hostname} port=${server.port} user=${server.username} password='${decodeURIComponent(server.password)}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
unix_socket_dir =
pool_mode = transaction
server_login_retry = 1
`,
  );
  chmodSync(file, 0o644);
  const account = findAccount();
  chmodSync(folder, 0o755);
  if (account) chownSync(folder, account.uid, account.gid);
  let child = await launch();
  async function launch() {
    const program = spawn('pgbouncer', [file], {
      stdio: 'ignore',
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      ...account,
    });
    const failed = once(program, 'error').then(([error]) => error);
    for (let tries = 0; tries < 200; tries++) {
      if (await isOpen(port)) return program;
      const error = await Promise.race([failed, sleep(25)]);
      if (error) throw new Error(`PgBouncer does not start: ${error.message}`);
    }
    throw new Error('PgBouncer does not start');
  }
  const end = async (signal) => {
    const ended = once(child, 'close');
    child.kill(signal);
    await ended;
  };
  return {
    urlOf(databaseUrl) {
      const through = new URL(databaseUrl);
      through.host = `127.0.0.1:${port}`;
      return through.href;
    },
    async crash() {
      await end('SIGKILL');
      child = await launch();
      return true;
    },
    async stop() {
      await end('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As root it refuses to run. */
function findAccount() {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8').split('\n');
  const [, , uid, gid] = (
    accounts.find((line) => /^postgres:/.test(line)) ?? accounts.find((line) => /^nobody:/.test(line))
  )
    .split(':')
    .map(Number);
  return { uid, gid };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function isOpen(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
