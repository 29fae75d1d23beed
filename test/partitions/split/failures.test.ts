import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { WorkEvent } from '../../../src/db/work-settings.ts';
import type { SplitSettings } from '../../../src/partitions/split/split.ts';
import { openClient } from '../../helpers/clients.ts';
import { type TestDatabase, withDatabase } from '../../helpers/database.ts';
import { until } from '../../helpers/process.ts';
import { differences, makeLibrary, splitLogs } from './library.ts';
import { startWriter } from './writer.ts';

const longPeriods = { unit: 'year', ahead: '1mo' } as const;

/** Settings that run `act` when the copy has begun, and note the titles of all steps. */
function during(act: () => Promise<unknown> = async () => {}) {
  const titles: string[] = [];
  const acts: Promise<unknown>[] = [];
  const onProgress = (event: WorkEvent) => {
    if (event.type !== 'started') return;
    titles.push(event.name);
    if (event.name.startsWith('copy') && acts.length === 0) acts.push(sleep(30).then(act));
  };
  const settings: SplitSettings = { onProgress, batchMs: 2, pauseMs: 50 };
  return { settings, titles, acted: () => Promise.all(acts) };
}

/** Interrupts a conversion when a step begins whose title begins with `step`. */
async function splitUntil(test: TestDatabase, step: string): Promise<void> {
  const interruption = new AbortController();
  const onProgress = (event: WorkEvent) => {
    if (event.type === 'started' && event.name.startsWith(step)) interruption.abort();
  };
  await expect(
    splitLogs(test, { onProgress, signal: interruption.signal }, longPeriods),
  ).rejects.toMatchObject({ code: 'interrupted' });
}

const copies = (titles: readonly string[]) =>
  titles.filter((title) => title.startsWith('copy the rows')).length;

const kindOf = async ({ sql }: TestDatabase) =>
  (await sql`SELECT relkind AS kind FROM pg_class WHERE oid = 'logs'::regclass`)[0]?.kind;

describe('a table that others alter while it is split', () => {
  it.each([
    ['a column is added', 'ALTER TABLE logs ADD note text'],
    [
      'a column gets another type',
      `DROP VIEW recent; DROP STATISTICS logs_stats; DROP INDEX logs_recent;
       ALTER TABLE logs DROP sheets, ALTER pages TYPE bigint, ADD sheets bigint GENERATED ALWAYS AS (pages / 2) STORED`,
    ],
    ['it is rewritten', 'VACUUM FULL logs'],
    ['the notes are dropped', 'DROP TABLE logs_eduschema_changes'],
    ['the notes are no longer taken', 'ALTER TABLE logs DISABLE TRIGGER eduschema_notes_changes'],
    ['the trigger is dropped', 'DROP TRIGGER eduschema_notes_changes ON logs'],
  ])(
    'is copied again when %s, and the application notices nothing',
    (_, ddl) =>
      withDatabase(async (test) => {
        const { sql } = test;
        await makeLibrary(sql, 20_000);
        const writer = await startWriter(test);
        const { settings, titles, acted } = during(() => sql.unsafe(ddl));

        await splitLogs(test, settings, longPeriods);
        await acted();
        await writer.stop();

        expect(writer.errors).toEqual([]);
        expect(copies(titles)).toBe(2);
        expect(await differences(sql)).toEqual([]);
        if (ddl.includes('ADD note')) await sql`INSERT INTO logs (material_id, note) VALUES (1, 'a note')`;
      })(),
    60_000,
  );

  it.each([
    [
      'an index comes',
      'CREATE INDEX CONCURRENTLY logs_agent ON logs (agent)',
      `SELECT FROM pg_index WHERE indexrelid = 'logs_agent'::regclass AND indisvalid AND indrelid = 'logs'::regclass`,
    ],
    [
      'an index goes',
      'DROP INDEX CONCURRENTLY logs_recent',
      `SELECT WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = 'logs'::regclass AND indpred IS NOT NULL)`,
    ],
    [
      'rights are granted',
      'GRANT SELECT (agent), INSERT ON logs TO pg_monitor',
      `SELECT WHERE has_table_privilege('pg_monitor', 'logs', 'INSERT') AND has_column_privilege('pg_monitor', 'logs', 'agent', 'SELECT')`,
    ],
    [
      'a trigger comes',
      `CREATE TRIGGER more BEFORE DELETE ON logs FOR EACH STATEMENT EXECUTE FUNCTION tidy()`,
      `SELECT FROM pg_trigger WHERE tgname = 'more' AND tgrelid = 'logs'::regclass`,
    ],
    [
      'a default changes',
      `ALTER TABLE logs ALTER agent SET DEFAULT 'somebody'`,
      `SELECT FROM information_schema.columns WHERE table_name = 'logs' AND column_name = 'agent' AND column_default LIKE '''somebody%'`,
    ],
    [
      'a view comes',
      'CREATE VIEW more AS SELECT id FROM logs',
      `SELECT WHERE pg_get_viewdef('more') LIKE '%FROM logs;'`,
    ],
    [
      'a comment changes',
      `COMMENT ON COLUMN logs.pages IS 'how many'`,
      `SELECT FROM pg_description WHERE objoid = 'logs'::regclass AND description = 'how many'`,
    ],
    [
      'a foreign key goes',
      'ALTER TABLE logs DROP CONSTRAINT logs_reader_id_fkey',
      `SELECT WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'logs'::regclass AND conname = 'logs_reader_id_fkey')`,
    ],
  ])(
    'follows without another copy when %s',
    (_, ddl, followed) =>
      withDatabase(async (test) => {
        const { sql } = test;
        await makeLibrary(sql, 2000);
        const { settings, titles } = during();
        await splitUntil(test, 'put the twin');

        await sql.unsafe(ddl);
        await splitLogs(test, settings, longPeriods);

        expect(copies(titles)).toBe(0);
        expect(await sql.unsafe(followed)).toHaveLength(1);
      })(),
    60_000,
  );

  it(
    'is copied again when it is emptied',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 10_000);
      const { settings, titles } = during();
      await splitUntil(test, 'analyze');

      await sql`TRUNCATE logs`;
      await sql`INSERT INTO logs (material_id) VALUES (1)`;
      const result = await splitLogs(test, settings, longPeriods);

      expect(copies(titles)).toBe(1);
      expect(await sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 1 }]);
      expect(result.split?.proof?.periods).toMatchObject([{ rows: [1, 1] }]);
    }),
    60_000,
  );

  it(
    'is not swapped when the two differ, and says where',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLibrary(sql, 2000);
      await splitUntil(test, 'compare');
      await sql`UPDATE logs_eduschema SET pages = 77 WHERE id = 5`;
      await sql`DELETE FROM logs_eduschema WHERE id = 6`;

      await expect(splitLogs(test, {}, longPeriods)).rejects.toMatchObject({
        code: 'proof-failed',
        message: expect.stringMatching(/^public\.logs and public\.logs_eduschema differ in the period from/),
        excerpt: expect.stringMatching(
          /only in public\.logs: \(5,.*only in public\.logs: \(6,.*only in public\.logs_eduschema: \(5,.*,77,/s,
        ),
      });
      expect(await kindOf(test)).toBe('r');
    }),
    60_000,
  );
});

describe('a split that does not get its lock', () => {
  it.each([
    ['note what changes', 'INSERT INTO logs (material_id) VALUES (1)'],
    ['put the twin', 'SELECT FROM logs'],
  ])(
    'stops when it cannot %s, names who is in the way, and goes on later',
    (step, statement) =>
      withDatabase(async (test) => {
        await makeLibrary(test.sql, 1000);
        const shop = await openClient(test, 'shop');
        const { settings, titles } = during();
        await splitUntil(test, step);
        await shop.begin(statement);

        await expect(splitLogs(test, { lockDeadlineSeconds: 10 }, longPeriods)).rejects.toMatchObject({
          code: 'database-error',
          excerpt: expect.stringContaining('shop'),
        });
        expect(await kindOf(test)).toBe('r');
        await shop.sql.unsafe('COMMIT');
        await splitLogs(test, settings, longPeriods);

        expect(copies(titles)).toBe(step.startsWith('note') ? 1 : 0);
        expect(await kindOf(test)).toBe('p');
      })(),
    60_000,
  );

  it(
    'waits for another at the same table, and refuses when that takes too long',
    withDatabase(async (test) => {
      await makeLibrary(test.sql, 20_000);
      const { settings, titles } = during();
      const running = splitLogs(test, { ...settings, pauseMs: 200 }, longPeriods);
      await until('it copies', () => copies(titles) > 0);

      await expect(splitLogs(test, { waitSeconds: 0.1 }, longPeriods)).rejects.toMatchObject({
        code: 'lock-held',
      });
      await running;

      expect(await test.sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 20_000 }]);
    }),
    60_000,
  );
});
