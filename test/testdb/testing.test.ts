import { type ChildProcess, spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testDatabase } from '../../src/testing.ts';
import { urlOf } from '../helpers/database.ts';
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

  it('says what is wrong with a migration', () =>
    withFolder({ 'migrations/1_t.sql': 'CREATE TABLE;' }, async (folder) => {
      const failing = testDatabase({ url: urlOf(), directory: join(folder, 'migrations') });

      await expect(failing).rejects.toMatchObject({ code: 'migration-failed', details: { line: 1 } });
    }));
});
