import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withDatabase as open } from '../../../src/db/connect.ts';
import type { WorkEvent, WorkSettings } from '../../../src/db/work-settings.ts';
import { undo } from '../../../src/partitions/undo/undo.ts';
import { describeCatalogue } from '../../helpers/catalogue.ts';
import { type TestDatabase, withDatabase } from '../../helpers/database.ts';
import { differences, makeLibrary, splitLogs } from './library.ts';
import { startWriter } from './writer.ts';

const longPeriods = { unit: 'year', ahead: '1mo' } as const;

const undoLogs = ({ target }: Pick<TestDatabase, 'target'>, settings: WorkSettings = {}) =>
  open(target, {}, (database) => undo(database, { schema: 'public', name: 'logs' }, settings));

/** The catalogue without `control`, which the writer makes. */
const catalogueOf = async ({ sql }: TestDatabase) =>
  (await describeCatalogue(sql)).filter((line) => !line.includes('control'));

describe('partitions undo, after a split', () => {
  it(
    'makes the table what it was, with the rows that came since, and leaves nothing behind',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 3000);
      const before = await catalogueOf(test);
      const writer = await startWriter(test);

      await splitLogs(test);
      await sleep(300);
      const result = await undoLogs(test);
      await sleep(100);
      await writer.stop();

      expect(await catalogueOf(test)).toEqual(before);
      expect(writer.errors).toEqual([]);
      expect(await differences(sql)).toEqual([]);
      expect(result.lockedMs).toBeGreaterThan(0);
      expect(await undoLogs(test)).toMatchObject({ steps: [] });
    }),
    120_000,
  );

  it(
    'takes a conversion back at whatever step it was cut off',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 1000);
      const before = await catalogueOf(test);
      const rows = await sql`SELECT * FROM logs ORDER BY id`;

      let cut = 0;
      for (let isDone = false; !isDone; cut++) {
        const interruption = new AbortController();
        let begun = 0;
        const onProgress = ({ type }: WorkEvent) => {
          if (type === 'started' && begun++ === cut) interruption.abort();
        };
        isDone = await splitLogs(test, { onProgress, signal: interruption.signal }, longPeriods).then(
          () => true,
          () => false,
        );
        await undoLogs(test);
        expect(await catalogueOf(test), `cut off at step ${cut}`).toEqual(before);
      }

      expect(cut).toBeGreaterThan(14);
      expect(await sql`SELECT * FROM logs ORDER BY id`).toEqual(rows);
    }),
    200_000,
  );

  it(
    'goes on when it is killed at any step, and loses nothing',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 3000);
      const before = await catalogueOf(test);
      await splitLogs(test, {}, longPeriods);
      const writer = await startWriter(test);
      const killedAt = new Set<string>();
      const kills: Promise<unknown>[] = [];

      for (let isDone = false; !isDone; ) {
        const onProgress = (event: WorkEvent) => {
          if (event.type !== 'started' || killedAt.has(event.name)) return;
          killedAt.add(event.name);
          const kill = sleep(killedAt.size % 2 === 0 ? 0 : Math.random() * 30).then(
            () => sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = current_database() AND application_name = 'eduschema worker'`,
          );
          kills.push(kill);
        };
        isDone = await undoLogs(test, { onProgress, waitSeconds: 20 }).then(
          () => true,
          () => false,
        );
        expect(killedAt.size).toBeLessThan(20);
      }
      // The last of them may come after the work is done, but not after the database is gone.
      await Promise.all(kills);
      await writer.stop();

      // Unless autovacuum has analyzed it meanwhile.
      expect([...killedAt].filter((step) => step !== 'analyze public.logs')).toEqual([
        'make good in public.logs_before_split what changed since the swap',
        'compare public.logs and public.logs_before_split',
        'put public.logs_before_split back in the place of public.logs',
        'look at logs_reader_id_fkey of public.logs',
        'drop public.logs_eduschema',
      ]);
      expect(writer.errors).toEqual([]);
      expect(await catalogueOf(test)).toEqual(before);
      expect(await differences(sql)).toEqual([]);
    }),
    200_000,
  );

  it.each([
    ['the new table was emptied', 'TRUNCATE logs'],
    ['changes were not noted', 'DROP TRIGGER eduschema_notes_changes ON logs'],
    ['the notes are gone', 'DROP TABLE logs_eduschema_changes'],
    ['a trigger was disabled for a while', 'ALTER TABLE logs DISABLE TRIGGER USER, ENABLE TRIGGER USER'],
  ])(
    'fills the old table anew when %s',
    (_, statement) =>
      withDatabase(async (test) => {
        const { sql } = test;
        await makeLibrary(sql, 1000);
        const before = await catalogueOf(test);
        await splitLogs(test, {}, longPeriods);

        await sql.unsafe(statement);
        await sql`INSERT INTO logs (material_id, agent) SELECT 1, 'late' FROM generate_series(1, 50)`;
        await sql`UPDATE logs SET pages = 99 WHERE id < 10`;
        const rows = await sql`SELECT * FROM logs ORDER BY id`;
        await undoLogs(test);

        expect(await sql`SELECT * FROM logs ORDER BY id`).toEqual(rows);
        expect(await catalogueOf(test)).toEqual(before);
      })(),
    60_000,
  );

  it(
    'refuses, and changes nothing that anybody uses, when the table as it was cannot take a row',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 500);
      const before = await catalogueOf(test);
      await splitLogs(test, {}, longPeriods);
      await sql`INSERT INTO logs (id, material_id, at) VALUES (7, 1, '2026-01-05'), (501, 2, now())`;

      await expect(undoLogs(test)).rejects.toMatchObject({
        code: 'table-unsuitable',
        message: expect.stringContaining('cannot take the rows that it has now'),
        excerpt: expect.stringContaining('Key (id)=(7) already exists.'),
      });

      expect(await sql`SELECT relkind FROM pg_class WHERE oid = 'logs'::regclass`).toEqual([
        { relkind: 'p' },
      ]);
      await sql`DELETE FROM logs WHERE id = 7 AND at = '2026-01-05'`;
      await undoLogs(test);
      expect(await catalogueOf(test)).toEqual(before);
      expect(await sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 501 }]);
    }),
    60_000,
  );

  it.each([
    ['the column note text', 'ALTER TABLE logs ADD note text'],
    ['the index logs_agent_before_split', 'CREATE INDEX logs_agent ON logs (agent)'],
    ['the constraint few', 'ALTER TABLE logs ADD CONSTRAINT few CHECK (pages < 1000)'],
  ])(
    'refuses to lose %s, which came since',
    (what, ddl) =>
      withDatabase(async (test) => {
        const { sql } = test;
        await makeLibrary(sql, 100);
        await splitLogs(test, {}, longPeriods);
        await sql.unsafe(ddl);

        await expect(undoLogs(test)).rejects.toMatchObject({
          code: 'table-unsuitable',
          excerpt: expect.stringContaining(`${what} came to public.logs since it was split`),
        });
      })(),
    60_000,
  );
});
