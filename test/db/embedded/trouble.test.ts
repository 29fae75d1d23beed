import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { describe, expect, it } from 'vitest';
import { findAccount } from '../../../src/db/embedded/account.ts';
import { findProcess } from '../../../src/db/embedded/process-identity.ts';
import {
  findEmbeddedStatus,
  renderServerUrl,
  resetEmbedded,
  startEmbedded,
} from '../../../src/db/embedded/server.ts';
import type { EduschemaError } from '../../../src/errors.ts';
import { withFolder } from '../../helpers/folder.ts';
import { ask, askOnce, withProject } from './folder.ts';
import { startServerUser } from './server-user.ts';

const isRoot = process.getuid?.() === 0;

/** Kills a server as the system does when memory runs out, and waits until it is gone. */
async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL');
  while (findProcess(pid)) await sleep(5);
}

describe('the embedded server', () => {
  it(
    'recovers what was committed when it was killed',
    withProject(async (options) => {
      const server = await startEmbedded(options);
      await ask(server, 'CREATE TABLE survivor AS SELECT 1 AS id');
      await kill(server.pid);

      const { rows } = await askOnce(options, 'SELECT id FROM survivor');

      expect(rows).toEqual([{ id: 1 }]);
    }),
  );

  it(
    'starts though its pid now belongs to somebody else',
    withProject(async (options) => {
      const server = await startEmbedded(options);
      await kill(server.pid);
      const stranger = spawn('sleep', ['60']);
      const file = join(server.dataFolder, 'postmaster.pid');
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+/, String(stranger.pid)));

      const status = await findEmbeddedStatus(options);
      const next = await askOnce(options);

      expect(status.running).toBeUndefined();
      expect(next.server.pid).not.toBe(stranger.pid);
      expect(stranger.exitCode).toBeNull();
      stranger.kill();
    }),
  );

  it(
    'waits for the processes of a killed server that still hold its memory',
    withProject(async (options) => {
      const server = await startEmbedded(options);
      const sql = postgres(renderServerUrl(server), { max: 1 });
      const [backend] = await sql`SELECT pg_backend_pid() AS pid`;
      const busy = sql`SELECT count(*) FROM (SELECT generate_series(1, 1e12)) AS numbers`.catch(() => {});
      await sleep(100);
      await kill(server.pid);
      setTimeout(() => process.kill(backend?.pid, 'SIGKILL'), 700);

      const started = performance.now();
      await askOnce(options);

      expect(performance.now() - started).toBeGreaterThan(500);
      await busy;
      await sql.end({ timeout: 0 });
    }),
  );

  it(
    'takes another port when its own is taken',
    withProject(async (options) => {
      const { server } = await askOnce(options);
      const stranger = createServer().listen(server.port, '127.0.0.1');
      await once(stranger, 'listening');

      const next = await askOnce(options);

      expect(next.server.port).not.toBe(server.port);
      stranger.close();
    }),
  );

  it(
    'is set up from the start when that was interrupted',
    withProject(async (options) => {
      mkdirSync(join(options.folder, 'data.new/data/base'), { recursive: true });
      writeFileSync(join(options.folder, 'data.new/data/PG_VERSION'), '18\n');

      await askOnce(options);

      expect(statSync(join(options.folder, 'data.new'), { throwIfNoEntry: false })).toBeUndefined();
    }),
  );

  it('says so when its folder cannot be written', () =>
    withFolder({}, async (project) => {
      if (!isRoot) chmodSync(project, 0o555);

      const { error, hint } = await startServerUser(join(project, '.eduschema'), findAccount()).said;

      expect(error).toContain(`${project}/.eduschema cannot be written`);
      expect(hint).toContain('--url');
      chmodSync(project, 0o755);
    }));

  it('says so when its folder is a file', () =>
    withFolder({ '.eduschema': '' }, async (project) => {
      await expect(askOnce({ folder: join(project, '.eduschema') })).rejects.toThrow(
        '.eduschema is no folder',
      );
    }));

  it(
    'refuses data of another version, and a reset helps',
    withProject(async (options) => {
      const { server } = await askOnce(options);
      writeFileSync(join(server.dataFolder, 'PG_VERSION'), '15\n');

      const refused: EduschemaError = await askOnce(options).catch((error) => error);

      expect(refused.message).toMatch(/is of PostgreSQL 15, and the embedded server is 18/);
      expect(refused.hint).toContain('eduschema db reset');
      rmSync(join(server.dataFolder, 'PG_VERSION'));
      await expect(askOnce(options)).rejects.toThrow('holds no PostgreSQL data');
      await resetEmbedded(options);
      await askOnce(options);
    }),
  );

  it(
    'shows the end of its log when it does not start',
    withProject(async (options) => {
      const { server } = await askOnce(options);
      appendFileSync(join(server.dataFolder, 'postgresql.conf'), 'nonsense = 1\n');

      const failed: EduschemaError = await askOnce(options).catch((error) => error);

      expect(failed.message).toBe('the embedded PostgreSQL does not start: its postgresql.conf has an error');
      expect(failed.excerpt).toContain('unrecognized configuration parameter "nonsense"');
    }),
  );

  it(
    'says so when its password is lost',
    withProject(async (options) => {
      await askOnce(options);
      rmSync(join(options.folder, 'password'));

      await expect(askOnce(options)).rejects.toThrow('password does not exist');
    }),
  );

  it(
    'is found again when its project was moved while it ran, and is not mistaken for that of a copy',
    withProject(async (options) => {
      const server = await startEmbedded(options);
      const [moved, copied] = ['moved', 'copied'].map((name) =>
        join(dirname(options.folder), name, '.eduschema'),
      );
      const ofMoved = { ...options, folder: moved as string };
      const ofCopied = { ...options, folder: copied as string };
      cpSync(options.folder, ofCopied.folder, { recursive: true });
      mkdirSync(dirname(ofMoved.folder));
      renameSync(options.folder, ofMoved.folder);
      if (isRoot) await giveTo(ofCopied.folder);

      const again = await askOnce(ofMoved);
      const other = await askOnce(ofCopied);

      expect(again.server.pid).toBe(server.pid);
      expect(other.server.pid).not.toBe(server.pid);
      expect((await findEmbeddedStatus(ofMoved)).running?.pid).toBe(server.pid);
      await resetEmbedded(ofMoved);
      await resetEmbedded(ofCopied);
    }),
  );

  it.runIf(isRoot)(
    'runs for root in a folder that is closed to others, and leaves nothing after a reset',
    withProject(async (options) => {
      chmodSync(dirname(options.folder), 0o700);

      const { server } = await askOnce(options, 'CREATE TABLE kept ()');
      const again = await askOnce(options, 'SELECT FROM kept');

      expect(server.dataFolder).toMatch(/^\/var\/lib\/eduschema\//);
      expect(again.server.dataFolder).toBe(server.dataFolder);
      expect(options.progress).toContainEqual(expect.stringContaining('does not run as root'));
      const copied = { ...options, folder: `${options.folder}.copied` };
      cpSync(options.folder, copied.folder, { recursive: true });
      expect((await askOnce(copied)).server.dataFolder).not.toBe(server.dataFolder);
      await resetEmbedded(copied);
      await resetEmbedded(options);
      expect(statSync(dirname(server.dataFolder), { throwIfNoEntry: false })).toBeUndefined();
    }),
  );
});

/** cp as root makes copies that belong to root. */
async function giveTo(folder: string): Promise<void> {
  const account = findAccount();
  await once(spawn('chown', ['-R', `${account?.uid}:${account?.gid}`, join(folder, 'data')]), 'close');
}
