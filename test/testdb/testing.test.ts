import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join, resolve } from 'node:path';
import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { startServer, testDatabase } from '../../src/testing.ts';
import { urlOf, withDatabase } from '../helpers/database.ts';
import { withFolder } from '../helpers/folder.ts';
import { until } from '../helpers/process.ts';

const built = resolve(import.meta.dirname, '../../dist');
const migrations = { 'migrations/1_t.sql': 'CREATE TABLE t (id int); INSERT INTO t VALUES (1);' };

/** Says the URL of a test database, and stays until it is ended. */
const script = (load: string) => `${load}
testDatabase().then(async ({ sql, url }) => {
  const [{ n }] = await sql\`SELECT count(*)::int AS n FROM t\`;
  console.log(n, url);
  setInterval(() => {}, 1000);
});`;

async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout?.on('data', (more) => {
    text += more;
  });
  await until('it says where', () => text.includes('\n') || child.exitCode !== null);
  return text.trim();
}

function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((done) => {
    const socket = createConnection({ host: hostname, port: Number(port) });
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });
}

describe('eduschema/testing', () => {
  it('lends a migrated database, and drops it with whoever is in it', () =>
    withFolder(migrations, async (folder) => {
      const options = { url: urlOf(), directory: join(folder, 'migrations') };
      const database = await testDatabase(options);
      const other = await testDatabase(options);
      await database.sql`INSERT INTO t VALUES (2)`;

      expect(await database.sql`SELECT id FROM t ORDER BY id`).toEqual([{ id: 1 }, { id: 2 }]);
      expect(await other.sql`SELECT id FROM t`).toEqual([{ id: 1 }]);
      await database.drop();
      const left = await other.sql`SELECT FROM pg_database WHERE datname = ${database.name}`;
      expect(left).toEqual([]);
      await other[Symbol.asyncDispose]();
    }));

  it.each([
    ['an ES module', 'test.mjs', `import { testDatabase } from '${built}/testing.js';`],
    ['CommonJS', 'test.cjs', `const { testDatabase } = require('${built}/testing.cjs');`],
  ])(
    'from %s, starts a server when there is none, which ends with the process even when it is killed',
    (_, name, load) =>
      withFolder({ ...migrations, [name]: script(load) }, async (folder) => {
        const env = { PATH: process.env.PATH, HOME: process.env.HOME, DOCKER_HOST: 'unix:///nowhere' };
        const child = spawn(process.execPath, [name], {
          cwd: folder,
          env,
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const [count, url = ''] = (await firstLine(child)).split(' ');

        expect(count).toBe('1');
        expect(await answers(url)).toBe(true);
        child.kill('SIGKILL');
        await until('the server is gone', async () => !(await answers(url)));
      }),
  );

  it.runIf(process.platform === 'linux')('reaches a server by its socket alone', () =>
    withFolder(migrations, async (folder) => {
      chmodSync(folder, 0o777);
      const { url, stop } = await startServer({
        url: undefined,
        settings: { unix_socket_directories: folder, listen_addresses: '127.0.0.1', max_connections: '20' },
      });
      try {
        const { port, password } = new URL(url);
        const socket = `postgres://postgres:${password}@/postgres?host=${encodeURIComponent(folder)}&port=${port}`;
        const database = await testDatabase({ url: socket, directory: join(folder, 'migrations') });

        expect(await database.sql`SELECT id, inet_server_addr() AS address FROM t`).toEqual([
          { id: 1, address: null },
        ]);
        await database.drop();
      } finally {
        await stop();
      }
    }),
  );

  it(
    'has the settings of the URL, in the database and in its own URL',
    withDatabase(async ({ url: server }) =>
      withFolder(
        { 'migrations/1_t.sql': 'CREATE SCHEMA app; CREATE TABLE t (id int); INSERT INTO t VALUES (1);' },
        async (folder) => {
          const url = `${server}?options=-c%20search_path%3Dapp%2Cpublic`;
          const database = await testDatabase({ url, directory: join(folder, 'migrations') });
          const other = postgres(database.url, { max: 1 });

          const query =
            "SELECT to_regclass('app.t') IS NOT NULL AS made, current_setting('search_path') AS path";
          const expected = [{ made: true, path: 'app,public' }];
          expect([await database.sql.unsafe(query), await other.unsafe(query)]).toEqual([expected, expected]);
          await other.end();
          await database.drop();
        },
      ),
    ),
  );

  it('says what is wrong with a migration', () =>
    withFolder({ 'migrations/1_t.sql': 'CREATE TABLE;' }, async (folder) => {
      const failing = testDatabase({ url: urlOf(), directory: join(folder, 'migrations') });

      await expect(failing).rejects.toMatchObject({ code: 'migration-failed', details: { line: 1 } });
    }));
});
