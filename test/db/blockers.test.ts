import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { adviceOn, describeBlocker, listBlockers } from '../../src/db/blockers.ts';
import { cancelWaiting, findLockWait, oldestHolder, readActivity } from '../../src/db/lock-wait.ts';
import { openClient } from '../helpers/clients.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { until } from '../helpers/process.ts';

describe('who is in the way', () => {
  it(
    'is told roots first, with the lock in conflict; whoever merely queues is no root',
    withDatabase(async (database) => {
      await database.sql`CREATE TABLE t (id int)`;
      const reader = await openClient(database, 'shop');
      await reader.begin('SELECT count(*) FROM t WHERE id <> 4711');
      const queued = await openClient(database, 'other ddl');
      await queued.begin('ALTER TABLE t ADD a int');
      const us = await openClient(database, 'us');
      await us.begin('ALTER TABLE t ADD b int');

      const blockers = await listBlockers(database.sql, us.pid);
      const [hidden] = await listBlockers(database.sql, us.pid, true);

      expect(blockers).toMatchObject([
        {
          pid: reader.pid,
          kind: 'session',
          root: true,
          application: 'shop',
          state: 'idle in transaction',
          lockMode: 'AccessShareLock',
          relation: 't',
          query: 'SELECT count(*) FROM t WHERE id <> 4711',
        },
        { pid: queued.pid, root: false, state: 'active', lockMode: 'AccessExclusiveLock', relation: 't' },
      ]);
      expect(hidden?.query).toBe('SELECT count(*) FROM t WHERE id <> ?');
      expect(blockers.map(describeBlocker)).toEqual([
        expect.stringMatching(
          /^pid \d+ \(shop, user \w+, idle in transaction, for \d s, holds ACCESS SHARE on t\): SELECT/,
        ),
        expect.stringMatching(
          /^pid \d+ \(other ddl, user \w+, active, for \d s, waits itself for ACCESS EXCLUSIVE on t\): ALTER/,
        ),
      ]);
    }),
  );

  it(
    'is found behind a row lock of another table',
    withDatabase(async (database) => {
      await database.sql`CREATE TABLE t (id int)`;
      await database.sql`CREATE TABLE r AS SELECT 1 AS id`;
      const root = await openClient(database, 'root');
      await root.begin('UPDATE r SET id = 2');
      const middle = await openClient(database, 'middle');
      await middle.begin('SELECT FROM t');
      const stuck = middle.sql.unsafe('UPDATE r SET id = 3').catch(() => {});
      const us = await openClient(database, 'us');
      await us.begin('ALTER TABLE t ADD b int');

      const blockers = await listBlockers(database.sql, us.pid);

      expect(blockers.map(({ application, root: first }) => [application, first])).toEqual([
        ['root', true],
        ['middle', false],
      ]);
      await root.sql.unsafe('ROLLBACK');
      await stuck;
    }),
  );

  it(
    'is hidden in a statement with a password, whatever was asked',
    withDatabase(async (database) => {
      await database.sql`CREATE TABLE t (id int)`;
      const other = await openClient(database, 'x');
      await other.begin("LOCK t; SELECT 'password=geheim'");
      const us = await openClient(database, 'us');
      await us.begin('ALTER TABLE t ADD b int');

      expect((await listBlockers(database.sql, us.pid))[0]?.query).toBe('LOCK t; SELECT ?');
    }),
  );

  it(
    'may be a prepared transaction, which is named',
    withDatabase(async (database) => {
      const [{ setting }] = await database.sql<
        [{ setting: string }]
      >`SELECT current_setting('max_prepared_transactions') AS setting`;
      if (setting === '0') return;
      await database.sql`CREATE TABLE t (id int)`;
      const gid = `two ${database.name}`;
      const other = await openClient(database, 'x');
      await other.sql.unsafe(`BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '${gid}'`);
      const us = await openClient(database, 'us');
      try {
        await us.begin('ALTER TABLE t ADD b int');
        const [blocker] = await listBlockers(database.sql, us.pid);

        expect(blocker).toMatchObject({
          pid: 0,
          kind: 'prepared transaction',
          root: true,
          preparedAs: gid,
          lockMode: 'RowExclusiveLock',
          relation: 't',
        });
        expect(blocker && describeBlocker(blocker)).toMatch(
          /^prepared transaction two test_\w+ \(user \w+, for \d s, holds ROW EXCLUSIVE on t\)$/,
        );
        expect(blocker && adviceOn(blocker)).toContain(`ROLLBACK PREPARED '${gid}'`);
        await sleep(1000);
        expect(
          await oldestHolder(database.sql, {
            relationId: await idOf(database, 't'),
            relation: 't',
            mode: 'AccessExclusiveLock',
            transaction: '',
            queued: 0,
            deadlockTimeoutMs: 1000,
          }),
        ).toBeGreaterThan(1);
      } finally {
        await database.sql.unsafe(`ROLLBACK PREPARED '${gid}'`);
      }
    }),
  );

  it(
    'of others is known by pid alone to a user without rights',
    withDatabase(async (database) => {
      await database.sql`CREATE TABLE t (id int)`;
      const user = await database.createUser();
      const reader = await openClient(database, 'shop');
      await reader.begin('SELECT FROM t');
      const us = await openClient(database, 'us');
      await us.begin('ALTER TABLE t ADD b int');

      const blockers = await listBlockers(await database.connectAs(user.name), us.pid);

      expect(blockers).toMatchObject([
        {
          pid: reader.pid,
          kind: 'session',
          root: true,
          state: null,
          query: null,
          lockMode: 'AccessShareLock',
        },
      ]);
    }),
  );
});

const idOf = async ({ sql }: TestDatabase, name: string) =>
  (await sql<[{ id: number }]>`SELECT ${name}::regclass::oid::int AS id`)[0].id;

describe('a session that waits for a lock', () => {
  it(
    'is known with what queues behind it, and cancelled only while the same transaction waits',
    withDatabase(async (database) => {
      await database.sql`CREATE TABLE t (id int)`;
      const reader = await openClient(database, 'shop');
      await reader.begin('SELECT FROM t');
      const us = await openClient(database, 'us');
      const { running } = await us.begin('ALTER TABLE t ADD b int');
      const late = [1, 2, 3].map(() => database.connect({ max: 1 }).unsafe('SELECT FROM t'));
      for (const query of late) void query.execute();
      await until('all three queue', async () => (await findLockWait(database.sql, us.pid))?.queued === 3);

      const wait = await findLockWait(database.sql, us.pid);

      expect(await readActivity(database.sql, us.pid)).toMatchObject({ waits: true });
      expect(wait).toMatchObject({
        relation: 't',
        mode: 'AccessExclusiveLock',
        queued: 3,
        deadlockTimeoutMs: 1000,
      });
      expect(await oldestHolder(database.sql, wait as never)).toBeGreaterThan(0.1);
      expect(await cancelWaiting(database.sql, us.pid, '9/9999')).toBe(false);
      expect(await cancelWaiting(database.sql, us.pid, wait?.transaction ?? '')).toBe(true);
      expect(await running).toMatchObject({ code: '57014' });
      await Promise.all(late);
      expect(await cancelWaiting(database.sql, us.pid, wait?.transaction ?? '')).toBe(false);
      expect(await findLockWait(database.sql, us.pid)).toBeUndefined();
    }),
  );

  it(
    'also counts who wants a lock that it holds',
    withDatabase(async (database) => {
      await database.sql`CREATE TABLE t (id int)`;
      await database.sql`CREATE TABLE u (id int)`;
      const reader = await openClient(database, 'shop');
      await reader.begin('SELECT FROM t');
      const us = await openClient(database, 'us');
      await us.begin('LOCK u; ALTER TABLE t ADD b int');
      const late = database.connect({ max: 1 }).unsafe('SELECT FROM u').execute();
      await until('one queues', async () => (await findLockWait(database.sql, us.pid))?.queued === 1);

      expect(await findLockWait(database.sql, us.pid)).toMatchObject({ relation: 't', queued: 1 });
      await cancelWaiting(
        database.sql,
        us.pid,
        (await findLockWait(database.sql, us.pid))?.transaction ?? '',
      );
      await us.sql.unsafe('ROLLBACK');
      await late;
    }),
  );
});
