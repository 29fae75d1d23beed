import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from 'postgres';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../src/partitions/ensure/decide.ts';
import { describeCatalogue } from '../helpers/catalogue.ts';
import { openClient } from '../helpers/clients.ts';
import { withDatabase } from '../helpers/database.ts';
import { until } from '../helpers/process.ts';
import { boundsOf, ensureIn, makeLogs, month, nameOf, placesOf } from './logs.ts';
import { differences, readAllAlong, writeAllAlong } from './traffic.ts';

/** Rows of the next two months, which wait in the default partition; a copy of all in `control`. */
async function fill(sql: Sql, rows: number): Promise<void> {
  await sql.unsafe(`
    INSERT INTO logs (id, at, note) SELECT n, timestamptz '${month(1)} 00:00+09' + (n % 59) * interval '1 day', repeat('x', n % 100) FROM generate_series(1, ${rows}) n;
    SELECT setval('logs_id_seq', ${rows}); CREATE TABLE control (id bigint, at timestamptz, note text, PRIMARY KEY (id, at)); INSERT INTO control SELECT id, at, note FROM logs`);
}

const toNextMonths = { sources: { flags: { ahead: '2mo' } } } as const;
const few = 3000;
const many = 4 * defaultLimits.rows;

describe('rows that wait in the default partition', () => {
  it.each([
    ['few, which are moved in one transaction', few],
    ['many, which are copied beforehand', many],
  ])(
    'are seen exactly once at every moment, and follow every change: %s',
    (_, rows) =>
      withDatabase(async (test) => {
        await makeLogs(test.sql, { from: -1, to: 0, fallback: true });
        await fill(test.sql, rows);
        const readers = readAllAlong(test, rows);
        const writers = writeAllAlong(test, {
          beyond: rows,
          from: `${month(1)} 00:00+09`,
          to: `${month(3)} 00:00+09`,
        });
        await sleep(300);

        const { made } = await ensureIn(test, toNextMonths);

        await sleep(300);
        expect(await writers.stop()).toBeGreaterThan(10);
        const { reads, wrong } = await readers.stop();
        expect(wrong.slice(0, 5)).toEqual([]);
        expect(reads).toBeGreaterThan(10);
        expect(await differences(test.sql)).toEqual([]);
        expect(made.map(({ partition }) => partition.name)).toEqual([nameOf(1), nameOf(2)]);
        expect(made.reduce((sum, { rows: waited }) => sum + waited, 0)).toBeGreaterThanOrEqual(rows);
        expect(await test.sql`SELECT FROM logs_default`).toEqual([]);
        expect(await boundsOf(test.sql)).toHaveLength(4);
        expect(
          await test.sql`SELECT FROM pg_proc WHERE proname LIKE '%copy' AND pronamespace = 'public'::regnamespace`,
        ).toEqual([]);
      })(),
    120_000,
  );

  it(
    'are seen by a snapshot from before they were moved, when they are few, as they were',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test.sql, few);
      const early = await openClient(test, 'report');
      await early.sql.unsafe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1');

      await ensureIn(test, toNextMonths);

      expect(await early.sql`SELECT count(*)::int AS count FROM logs`).toEqual([{ count: few }]);
      await early.sql.unsafe('COMMIT');
      expect(await placesOf(test)).toMatchObject({ [nameOf(1)]: expect.any(Number) });
    }),
  );

  it(
    'are not put into their place while a snapshot is older than the copy, when they are many; a rerun goes on',
    withDatabase(async (test) => {
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test.sql, many);
      const early = await openClient(test, 'report');
      await early.sql.unsafe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1');

      const impatient = ensureIn(test, toNextMonths, { lockDeadlineSeconds: 0 });
      await expect(impatient).rejects.toMatchObject({
        code: 'database-error',
        message: `transactions that began before are still open after 0 s: pid ${early.pid} (report)`,
        hint: expect.stringContaining('it goes on'),
      });
      expect(await placesOf(test)).toEqual({ logs_default: many });
      const said: string[] = [];
      const patient = ensureIn(test, toNextMonths, {
        onProgress: (event) => void (event.type === 'log' && said.push(event.message)),
      });
      await until('it waits', () => said.some((line) => line.startsWith('waiting for transactions')));
      expect(await early.sql`SELECT count(*)::int AS count FROM logs`).toEqual([{ count: many }]);
      await early.sql.unsafe('COMMIT');
      await patient;

      expect(said).toEqual([
        'going on with the copy of public.logs_default',
        `waiting for transactions that are older than the copy: pid ${early.pid} (report)`,
      ]);
      expect(await differences(test.sql)).toEqual([]);
      expect(await test.sql`SELECT FROM logs_default`).toEqual([]);
    }),
  );

  it.each([
    ['few', few],
    ['many', many],
  ])(
    'move without the rows of other times among them: %s',
    (_, rows) =>
      withDatabase(async (test) => {
        const { sql } = test;
        const reader = await test.createUser();
        await makeLogs(sql, { from: 0, to: 0, fallback: true });
        await fill(sql, rows);
        await sql.unsafe(`GRANT SELECT ON logs_default TO ${reader.name}; COMMENT ON TABLE logs_default IS 'what has no month';
          ALTER TABLE logs_default SET (fillfactor = 80);
          INSERT INTO logs (id, at, note) SELECT ${rows} + n, timestamptz '1999-12-31' + n * interval '1 hour', 'odd' FROM generate_series(1, 40) n;
          INSERT INTO logs (id, at, note) VALUES (${rows + 41}, 'infinity', 'late'); INSERT INTO control SELECT id, at, note FROM logs WHERE id > ${rows}`);
        const before = (await describeCatalogue(sql)).filter((line) => line.includes('logs_default'));
        const readers = readAllAlong(test, rows + 41);
        await sleep(200);

        await ensureIn(test, toNextMonths);

        expect((await readers.stop()).wrong.slice(0, 5)).toEqual([]);
        expect(await differences(sql)).toEqual([]);
        expect(await placesOf(test)).toMatchObject({ logs_default: 41 });
        const after = (await describeCatalogue(sql)).filter((line) => line.includes('logs_default'));
        expect(after.map((line) => line.replaceAll('logs_default_rest', 'logs_default'))).toEqual(before);
        expect(await sql`SELECT relname FROM pg_class WHERE relname ~ '_(rest|replaced|moved)$'`).toEqual([]);
      })(),
    60_000,
  );

  it(
    'go on being what foreign keys refer to, whatever those do on DELETE',
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLogs(sql, { from: 0, to: 0, fallback: true });
      await fill(sql, few);
      await sql.unsafe(`CREATE TABLE cascading (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs ON DELETE CASCADE);
        CREATE TABLE nulling (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs ON DELETE SET NULL);
        CREATE TABLE refusing (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO cascading SELECT id, at FROM logs; INSERT INTO nulling SELECT id, at FROM logs; INSERT INTO refusing SELECT id, at FROM logs WHERE id <= 10`);

      await ensureIn(test, toNextMonths);

      expect(await sql`SELECT count(*)::int AS count FROM cascading JOIN logs USING (id, at)`).toEqual([
        { count: few },
      ]);
      expect(await sql`SELECT count(*)::int AS count FROM nulling JOIN logs USING (id, at)`).toEqual([
        { count: few },
      ]);
      await expect(sql`DELETE FROM logs WHERE id = 1`).rejects.toMatchObject({ code: '23503' });
      await sql`DELETE FROM logs WHERE id = 11`;
      expect(await sql`SELECT FROM cascading WHERE id = 11`).toEqual([]);
      expect(await sql`SELECT FROM nulling WHERE id IS NULL`).toHaveLength(1);
      await expect(sql`INSERT INTO cascading VALUES (11, now())`).rejects.toMatchObject({ code: '23503' });
    }),
  );

  it.each([
    ['few', few],
    ['many', many],
  ])('are no event for triggers, which fire as before afterwards: %s', (_, rows) =>
    withDatabase(async (test) => {
      const { sql } = test;
      await makeLogs(sql, { from: 0, to: 0, fallback: true });
      await fill(sql, rows);
      await sql.unsafe(`CREATE TABLE events (what text);
        CREATE FUNCTION note_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO events VALUES (TG_NAME || ' ' || TG_OP); RETURN coalesce(NEW, OLD); END $$;
        CREATE TRIGGER ordinary AFTER INSERT OR DELETE OR UPDATE ON logs FOR EACH ROW EXECUTE FUNCTION note_event();
        CREATE TRIGGER before BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION note_event();
        CREATE TRIGGER sleeping AFTER DELETE ON logs FOR EACH ROW EXECUTE FUNCTION note_event();
        CREATE TRIGGER statement AFTER DELETE ON logs_default FOR EACH STATEMENT EXECUTE FUNCTION note_event();
        CREATE TRIGGER emptied AFTER TRUNCATE ON logs_default FOR EACH STATEMENT EXECUTE FUNCTION note_event();
        ALTER TABLE logs ENABLE ALWAYS TRIGGER ordinary; ALTER TABLE logs_default ENABLE ALWAYS TRIGGER ordinary, DISABLE TRIGGER sleeping, ENABLE ALWAYS TRIGGER statement`);
      const states = () =>
        sql`SELECT tgrelid::regclass::text AS on, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = 'logs_default'::regclass ORDER BY 1, 2`;
      const before = await states();

      await ensureIn(test, toNextMonths);

      expect(await sql`SELECT what FROM events`).toEqual([]);
      expect(await states()).toEqual(before);
      await sql.unsafe(
        `INSERT INTO logs (at) VALUES ('${month(1)} 12:00+09'); DELETE FROM logs WHERE id = 1`,
      );
      expect((await sql`SELECT what FROM events ORDER BY 1`).map(({ what }) => what)).toEqual([
        'before INSERT',
        'ordinary DELETE',
        'ordinary INSERT',
        'sleeping DELETE',
      ]);
    })(),
  );

  it(
    'are moved by the owner alone, with the rights that an owner has',
    withDatabase(async (test) => {
      const owner = await test.createUser();
      await makeLogs(test.sql, { from: 0, to: 0, fallback: true });
      await fill(test.sql, many);
      await test.sql.unsafe(`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''never''; END'; CREATE TRIGGER t AFTER DELETE ON logs FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE logs OWNER TO ${owner.name}; ALTER TABLE logs_default OWNER TO ${owner.name}; ALTER TABLE ${nameOf(0)} OWNER TO ${owner.name};
        ALTER SEQUENCE logs_id_seq OWNER TO ${owner.name}; GRANT CREATE ON SCHEMA public TO ${owner.name}; REVOKE TEMPORARY ON DATABASE ${test.name} FROM PUBLIC`);

      await ensureIn(owner, toNextMonths);

      expect(await test.sql`SELECT FROM logs_default`).toEqual([]);
      expect(await differences(test.sql)).toEqual([]);
      expect(
        await test.sql`SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relname LIKE 'logs%'`,
      ).toEqual([{ owner: owner.name }]);
    }),
  );
});
