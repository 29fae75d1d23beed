import { describe, expect, it } from 'vitest';
import { withDatabase as open } from '../../src/db/connect.ts';
import { withKeptSession } from '../../src/db/kept-session.ts';
import { type AskForWorker, withKeptWorker, workerSession } from '../../src/db/worker.ts';
import { withDatabase } from '../helpers/database.ts';
import { until } from '../helpers/process.ts';

const workers = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'eduschema worker'`;
const pidOf = async (ask: AskForWorker) => (await ask()).session.facts.pid;

describe('a session that is kept', () => {
  it(
    'serves one subject after the other, holds no lock of one that is done, and is closed at the end',
    withDatabase(async ({ sql, target }) => {
      const held = () => sql`SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory'
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
      await open(target, {}, (database) =>
        withKeptSession(database, workerSession({}), async (keep) => {
          expect(await sql.unsafe(workers)).toEqual([]);
          const first = await withKeptWorker(database, 'partitions of public.a', {}, keep, pidOf);
          expect(await held()).toEqual([{ count: 0 }]);
          await expect(
            withKeptWorker(database, 'partitions of public.b', {}, keep, async (ask) =>
              (await ask()).transaction('fail', (inside) => inside`SELECT 1 / 0`),
            ),
          ).rejects.toMatchObject({ code: 'database-error' });
          expect(await held()).toEqual([{ count: 0 }]);

          expect(await withKeptWorker(database, 'partitions of public.c', {}, keep, pidOf)).toBe(first);
          expect(await sql.unsafe(workers)).toEqual([{ pid: first }]);
        }),
      );
      await until('it is closed', async () => (await sql.unsafe(workers)).length === 0);
    }),
  );

  it(
    'is not missed when it was ended: those who come later have a session of their own',
    withDatabase(async ({ sql, target }) => {
      await open(target, {}, (database) =>
        withKeptSession(database, workerSession({}), async (keep) => {
          const first = await withKeptWorker(database, 'partitions of public.a', {}, keep, pidOf);
          const session = await keep();
          await sql`SELECT pg_terminate_backend(${first}, 5000)`;
          await until('it is seen to be gone', async () => !session.isOpen());

          expect(await withKeptWorker(database, 'partitions of public.b', {}, keep, pidOf)).not.toBe(first);
        }),
      );
      await until('it is closed', async () => (await sql.unsafe(workers)).length === 0);
    }),
  );
});
