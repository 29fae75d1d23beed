import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findProcess } from '../../../src/db/embedded/process-identity.ts';
import {
  findEmbeddedStatus,
  resetEmbedded,
  startEmbedded,
  stopEmbedded,
  withEmbeddedServer,
} from '../../../src/db/embedded/server.ts';
import { ask, askOnce, withProject } from './folder.ts';
import { startServerUser } from './server-user.ts';

describe('the embedded server', () => {
  it(
    'sets itself up, knows Hangul, listens on the loopback, and stops after use',
    withProject(async (options) => {
      const { server, rows } = await askOnce(
        options,
        `SELECT current_database() AS database, '교' ~ '^[[:alpha:]]$' AS letters, current_setting('listen_addresses') AS addresses,
                current_setting('server_encoding') AS encoding, current_setting('unix_socket_directories') AS sockets`,
      );

      expect(rows).toEqual([
        { database: 'eduschema', letters: true, addresses: '127.0.0.1', encoding: 'UTF8', sockets: '' },
      ]);
      expect(findProcess(server.pid)).toBeUndefined();
      expect(statSync(join(options.folder, 'password')).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(options.folder, '.gitignore'), 'utf8')).toBe('*\n');
      expect(options.progress).toEqual([
        expect.stringContaining('setting up PostgreSQL 18'),
        expect.stringContaining('starting the embedded PostgreSQL 18'),
      ]);
    }),
  );

  it(
    'keeps its data and its port from one command to the next',
    withProject(async (options) => {
      const first = await askOnce(options, 'CREATE TABLE kept AS SELECT 42 AS answer');

      const second = await askOnce(options, 'SELECT answer FROM kept');

      expect(second.rows).toEqual([{ answer: 42 }]);
      expect(second.server.port).toBe(first.server.port);
      expect(second.server.pid).not.toBe(first.server.pid);
    }),
  );

  it(
    'lets nobody in without the password',
    withProject((options) =>
      withEmbeddedServer(options, async (server) => {
        const guess = { ...server, target: { ...server.target, password: 'guess' } };

        await expect(ask(guess, 'SELECT 1')).rejects.toThrow('password authentication failed');
      }),
    ),
  );

  it(
    'is set up once by two commands at the same moment, and outlives the first that ends',
    withProject(async (options) => {
      const users = [
        startServerUser(options.folder),
        startServerUser(options.folder),
        startServerUser(options.folder),
      ];
      const said = await Promise.all(users.map((user) => user.said));

      await users[0]?.finish();
      const status = await findEmbeddedStatus(options);
      await users[1]?.finish();
      await users[2]?.finish();

      expect(new Set(said.map(({ pid }) => pid)).size).toBe(1);
      expect(
        said.flatMap(({ progress }) => progress).filter((text) => text.startsWith('setting up')),
      ).toHaveLength(1);
      expect(status).toMatchObject({
        running: { pid: said[0]?.pid },
        usedBy: expect.arrayContaining([users[1]?.pid, users[2]?.pid]),
      });
      expect(await findEmbeddedStatus(options)).toMatchObject({ running: undefined, usedBy: [] });
    }),
  );

  it(
    'stays when it was started to stay, until it is stopped',
    withProject(async (options) => {
      const kept = await startEmbedded(options);
      const used = await askOnce(options);
      const before = await findEmbeddedStatus(options);

      await stopEmbedded(options);

      expect(used.server).toMatchObject({ pid: kept.pid, kept: true });
      expect(before.running).toMatchObject({ pid: kept.pid, kept: true });
      expect(findProcess(kept.pid)).toBeUndefined();
    }),
  );

  it(
    'that is stopped under a command waits for it, and is not reset under it',
    withProject(async (options) => {
      const kept = await startEmbedded(options);
      const user = startServerUser(options.folder);
      await user.said;

      const { usedBy } = await stopEmbedded(options);
      expect(usedBy).toEqual([user.pid]);
      expect(findProcess(kept.pid)).toBeDefined();
      await expect(resetEmbedded(options)).rejects.toThrow(`in use by process ${user.pid}`);

      await user.finish();
      expect(findProcess(kept.pid)).toBeUndefined();
    }),
  );

  it(
    'does not wait for a command that was killed',
    withProject(async (options) => {
      const user = startServerUser(options.folder);
      const { pid } = await user.said;
      await user.kill();

      const { server } = await askOnce(options);

      expect(server.pid).toBe(pid);
      expect(findProcess(pid)).toBeUndefined();
      expect(readdirSync(join(options.folder, 'leases'))).toEqual([]);
    }),
  );

  it(
    'takes over the lock of a command that was killed',
    withProject(async (options) => {
      const user = startServerUser(options.folder);
      await user.said;
      await user.kill();
      writeFileSync(join(options.folder, 'lock'), JSON.stringify({ pid: user.pid, start: 'then' }));

      await Promise.all([askOnce(options), askOnce(options), askOnce(options)]);

      expect((await findEmbeddedStatus(options)).running).toBeUndefined();
    }),
  );

  it(
    'is gone with all its data after a reset',
    withProject(async (options) => {
      await askOnce(options, 'CREATE TABLE gone ()');
      await startEmbedded(options);

      const removed = await resetEmbedded(options);

      expect(removed).toBe(join(options.folder, 'data'));
      expect(await findEmbeddedStatus(options)).toMatchObject({ running: undefined, dataFolder: undefined });
      expect((await askOnce(options, "SELECT to_regclass('gone') AS gone")).rows).toEqual([{ gone: null }]);
    }),
  );
});
