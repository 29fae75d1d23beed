import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type Database, withDatabase as open } from '../../src/db/connect.ts';
import { renderPlan, type Step } from '../../src/db/plan.ts';
import type { WorkEvent } from '../../src/db/work-settings.ts';
import { withWorker } from '../../src/db/worker.ts';
import { splitSql } from '../../src/sql/split.ts';
import { openClient } from '../helpers/clients.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { until } from '../helpers/process.ts';
import { findPsql } from '../helpers/psql.ts';

const steps: readonly Step[] = [
  {
    title: 'make the table t',
    transaction: true,
    statements: [
      { sql: 'CREATE TABLE t (id int)', why: 'what the rest is about' },
      {
        sql: 'INSERT INTO t SELECT generate_series(1, 100)',
        why: 'rows',
        locks: ['ROW EXCLUSIVE on public.t'],
      },
    ],
  },
  {
    title: 'index t',
    transaction: false,
    statements: [{ sql: 'CREATE INDEX CONCURRENTLY t_id ON t (id)', why: 'to find rows' }],
  },
];

const inDatabase = <T>({ target }: Pick<TestDatabase, 'target'>, use: (database: Database) => Promise<T>) =>
  open(target, {}, use);

describe('a worker', () => {
  it(
    'carries out the steps of a plan, those in a transaction whole or not at all',
    withDatabase(async (test) => {
      const broken: Step = {
        title: 'add what cannot be',
        transaction: true,
        statements: [
          { sql: 'INSERT INTO t VALUES (101)', why: 'this would be possible' },
          { sql: 'INSERT INTO nothing VALUES (1)', why: 'this is not' },
        ],
      };

      await inDatabase(test, (database) =>
        withWorker(database, 'partitions of public.t', {}, async (worker) => {
          for (const step of steps) await worker.carryOut(step);
          await expect(worker.carryOut(broken)).rejects.toMatchObject({
            code: 'database-error',
            message: 'cannot add what cannot be (42P01)',
            excerpt: expect.stringContaining('INSERT INTO nothing'),
          });
        }),
      );

      expect(await test.sql`SELECT count(*)::int FROM t`).toEqual([{ count: 100 }]);
      expect(
        await test.sql`SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 't_id'::regclass`,
      ).toEqual([{ valid: true }]);
    }),
  );

  it(
    'does what its plan shows, which psql can run',
    withDatabase(async ({ url, sql, connect }) => {
      const script = renderPlan(steps, '2s');

      expect(script).toBe(`-- make the table t
BEGIN;
SET LOCAL lock_timeout = '2s';
-- what the rest is about
CREATE TABLE t (id int);
-- rows
-- locks ROW EXCLUSIVE on public.t
INSERT INTO t SELECT generate_series(1, 100);
COMMIT;

-- index t
-- to find rows
CREATE INDEX CONCURRENTLY t_id ON t (id);
`);
      const psql = findPsql();
      if (psql) execFileSync(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', url], { input: script });
      // Without psql, one statement after the other in one session, as psql would send them.
      else
        await connect({ max: 1 })
          .reserve()
          .then(async (session) => {
            for (const { start, end } of splitSql(script).statements)
              await session.unsafe(script.slice(start, end));
          });
      expect(await sql`SELECT count(*)::int FROM t`).toEqual([{ count: 100 }]);
    }),
  );

  it(
    'tries again for its locks, and names who is in the way',
    withDatabase(async (test) => {
      await test.sql`CREATE TABLE t (id int)`;
      const shop = await openClient(test, 'shop');
      await shop.begin('SELECT FROM t');
      const events: WorkEvent[] = [];

      const working = inDatabase(test, (database) =>
        withWorker(database, 'public.t', { onProgress: (event) => events.push(event) }, (worker) =>
          worker.transaction('add a column to t', (sql) => sql`ALTER TABLE t ADD note text`),
        ),
      );
      await until('it tries again, and says for whom it waits', () =>
        ['retrying', 'blocked'].every((type) => events.some((event) => event.type === type)),
      );
      await shop.sql.unsafe('COMMIT');
      await working;

      expect(events).toContainEqual({
        type: 'blocked',
        blockers: [expect.objectContaining({ pid: shop.pid, application: 'shop', root: true })],
      });
      expect(await test.sql`SELECT note FROM t`).toEqual([]);
    }),
  );

  it(
    'is one at a time for a subject; others wait, and are told for whom',
    withDatabase(async (test) => {
      const seen: string[] = [];
      const work = (name: string, subject: string, waitSeconds?: number) =>
        inDatabase(test, (database) =>
          withWorker(database, subject, { waitSeconds }, async ({ session }) => {
            seen.push(`${name} begins`);
            await session.sql`SELECT pg_sleep(0.8)`;
            seen.push(`${name} ends`);
          }),
        );

      const first = work('first', 'one');
      await until('it works', () => seen.length > 0);
      const refused = work('third', 'one', 0.1);
      await expect(refused).rejects.toMatchObject({
        code: 'lock-held',
        message: expect.stringMatching(/pid \d+/),
      });
      await Promise.all([first, work('second', 'one'), work('other', 'another')]);

      expect(seen.slice(0, 2)).toEqual(['first begins', 'other begins']);
      expect(seen.indexOf('second begins')).toBeGreaterThan(seen.indexOf('first ends'));
    }),
  );

  it(
    'stops before the next step when its turn is lost',
    withDatabase(async (test) => {
      const lost = inDatabase(test, (database) =>
        withWorker(database, 'public.t', {}, async (worker) => {
          await worker.carryOut(steps[0] as Step);
          await test.sql`SELECT pg_terminate_backend(${database.facts.pid})`;
          await until('the session is gone', () => !database.isOpen());
          await worker.carryOut(steps[1] as Step);
        }),
      );

      await expect(lost).rejects.toMatchObject({ code: 'lock-held' });
      expect(await test.sql`SELECT to_regclass('t_id') AS index`).toEqual([{ index: null }]);
    }),
  );

  it(
    'does nothing of a step when its turn is lost, though both sessions are open',
    withDatabase(async (test) => {
      const lost = inDatabase(test, (database) =>
        withWorker(database, 'public.t', {}, async (worker) => {
          await database.sql`SELECT pg_advisory_unlock_all()`;
          await worker.carryOut(steps[0] as Step);
        }),
      );

      await expect(lost).rejects.toMatchObject({ code: 'lock-held' });
      expect(await test.sql`SELECT to_regclass('t') AS table`).toEqual([{ table: null }]);
    }),
  );

  it(
    'says which statement of a step failed, or that its COMMIT did, and can go on',
    withDatabase(async (test) => {
      const stepOf = (...statements: string[]): Step => ({
        title: 'fill it',
        transaction: true,
        statements: statements.map((sql) => ({ sql, why: 'rows' })),
      });
      await test.sql.unsafe(
        'CREATE TABLE t (id int PRIMARY KEY, of int REFERENCES t DEFERRABLE INITIALLY DEFERRED)',
      );

      await inDatabase(test, (database) =>
        withWorker(database, 'public.t', {}, async (worker) => {
          const atSecond = worker.carryOut(
            stepOf('INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (1, 1)', 'SELECT 1'),
          );
          await expect(atSecond).rejects.toMatchObject({
            message: 'cannot fill it (23505)',
            details: { sqlstate: '23505', statement: 'INSERT INTO t VALUES (1, 1)' },
          });
          const atCommit = worker.carryOut(stepOf('INSERT INTO t VALUES (1, 2)'));
          await expect(atCommit).rejects.toMatchObject({ message: 'cannot fill it (23503)' });
          expect(worker.session.tap.transaction).toBe('none');
          await worker.carryOut(stepOf('INSERT INTO t VALUES (3)'));
        }),
      );

      expect(await test.sql`SELECT id FROM t`).toEqual([{ id: 3 }]);
    }),
  );

  it(
    'is cancelled on the server when the signal comes, and what was committed stays',
    withDatabase(async (test) => {
      const controller = new AbortController();
      const work = inDatabase(test, (database) =>
        withWorker(database, 'public.t', { signal: controller.signal }, async (worker) => {
          await worker.carryOut(steps[0] as Step);
          await worker.transaction('sleep', (sql) => sql`SELECT pg_sleep(60)`);
        }),
      );
      await until('it sleeps', async () => {
        const sleeping = await test.sql`SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND query ~ 'pg_sleep' AND pid <> pg_backend_pid()`;
        return sleeping.length > 0;
      });
      controller.abort();

      await expect(work).rejects.toMatchObject({ code: 'interrupted' });
      expect(await test.sql`SELECT count(*)::int FROM t`).toEqual([{ count: 100 }]);
    }),
  );

  it(
    'says which right is missing',
    withDatabase(async (test) => {
      const { target } = await test.createUser();
      const denied = inDatabase({ target }, (database) =>
        withWorker(database, 'public.t', {}, (worker) => worker.carryOut(steps[0] as Step)),
      );

      await expect(denied).rejects.toMatchObject({
        code: 'permission-denied',
        message: 'cannot make the table t (42501)',
        hint: expect.stringContaining('--role'),
      });
    }),
  );
});
