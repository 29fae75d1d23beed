import { describe, expect, it } from 'vitest';
import { dropCapture, stopCapture } from '../../../src/partitions/split/capture.ts';
import { describeCatalogue } from '../../helpers/catalogue.ts';
import { withDatabase } from '../../helpers/database.ts';
import { capture, makeLogs, notesOf, pairOf } from './pair.ts';

const at = (day: string) => `"2026-${day} 00:00:00+00"`;

describe('changes of a table that is being split', () => {
  it(
    'are noted by key and time, before and after, whatever statement makes them',
    withDatabase(async ({ sql }) => {
      await sql`CREATE TABLE readers (id int PRIMARY KEY)`;
      await sql`INSERT INTO readers VALUES (1), (2)`;
      await sql`
        CREATE TABLE logs (id int PRIMARY KEY, at timestamptz NOT NULL, reader int REFERENCES readers ON DELETE CASCADE)`;
      await sql`SET timezone = 'UTC'`;
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const noted = async (statement: string) => {
        await sql.unsafe(`DELETE FROM ${pair.changes.name}; SET timezone = 'UTC'`);
        await sql.unsafe(statement);
        return notesOf(sql, pair);
      };

      expect(await noted(`INSERT INTO logs VALUES (1, '2026-01-01', 1), (2, '2026-01-02', 2)`)).toEqual([
        `(1,${at('01-01')})`,
        `(2,${at('01-02')})`,
      ]);
      expect(await noted(`UPDATE logs SET at = '2026-03-01' WHERE id = 1`)).toEqual([
        `(1,${at('01-01')})`,
        `(1,${at('03-01')})`,
      ]);
      expect(await noted(`UPDATE logs SET id = 9 WHERE id = 1`)).toEqual([
        `(1,${at('03-01')})`,
        `(9,${at('03-01')})`,
      ]);
      expect(
        await noted(
          `INSERT INTO logs VALUES (9, '2026-04-01', 1), (10, '2026-04-02', 1) ON CONFLICT (id) DO UPDATE SET at = excluded.at`,
        ),
      ).toEqual([`(9,${at('03-01')})`, `(9,${at('04-01')})`, `(10,${at('04-02')})`]);
      expect(await noted(`INSERT INTO logs VALUES (9, '2026-05-01', 1) ON CONFLICT (id) DO NOTHING`)).toEqual(
        [],
      );
      expect(
        await noted(`MERGE INTO logs USING (VALUES (10), (11)) v (id) ON v.id = logs.id
          WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, '2026-06-01', 2)`),
      ).toEqual([`(10,${at('04-02')})`, `(11,${at('06-01')})`]);
      expect(await noted(`DELETE FROM readers WHERE id = 2`)).toEqual([
        `(2,${at('01-02')})`,
        `(11,${at('06-01')})`,
      ]);
      expect(
        await noted(
          `SET session_replication_role = replica; DELETE FROM logs WHERE id = 9; SET session_replication_role = origin`,
        ),
      ).toEqual([`(9,${at('04-01')})`]);
      expect(await noted(`TRUNCATE logs`)).toEqual(['(,)']);
    }),
  );

  it(
    'are noted of COPY, and not of what is rolled back',
    withDatabase(async ({ sql, connect }) => {
      await makeLogs(sql, 1);
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const session = await connect({ max: 1 }).reserve();

      const copy = await session`COPY logs (id, at, who) FROM STDIN`.writable();
      await new Promise((done, failed) => {
        copy.on('finish', done).on('error', failed);
        copy.end('7\t2026-02-01 00:00:00+00\tseven\n8\t2026-02-02 00:00:00+00\teight\n');
      });
      await session.unsafe(`BEGIN; INSERT INTO logs (id, at) VALUES (9, '2026-02-03');
        SAVEPOINT s; INSERT INTO logs (id, at) VALUES (10, '2026-02-03'); ROLLBACK TO s;
        INSERT INTO logs (id, at) VALUES (11, '2026-02-03'); COMMIT`);
      await session.unsafe(`BEGIN; DELETE FROM logs; ROLLBACK`);

      const notes = await notesOf(sql, pair);
      expect(notes.map((note) => note.slice(0, note.indexOf(',')))).toEqual(['(7', '(8', '(9', '(11']);
    }),
  );

  it(
    'are noted for a writer without any rights on what notes them, who cannot write, read or call it',
    withDatabase(async ({ sql, connectAs, createUser }) => {
      const owner = await createUser();
      const writer = await createUser();
      await sql.unsafe(
        `GRANT CREATE ON SCHEMA public TO ${owner.name}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${writer.name};
         ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO ${writer.name}`,
      );
      await makeLogs(sql, 1);
      await sql.unsafe(`ALTER TABLE logs OWNER TO ${owner.name}; GRANT INSERT ON logs TO ${writer.name};
        ALTER TABLE logs ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON logs FOR INSERT WITH CHECK (who = 'me')`);
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const asWriter = await connectAs(writer.name);

      // What the session resolves names by must not matter.
      await asWriter.unsafe(`SET search_path = pg_temp, public; CREATE TEMP TABLE pg_attribute (attrelid oid);
        INSERT INTO logs (id, at, who) VALUES (7, '2026-02-01', 'me')`);

      expect(await notesOf(sql, pair)).toEqual([expect.stringMatching(/^\(7,/)]);
      for (const attempt of [
        `SELECT * FROM ${pair.changes.name}`,
        `INSERT INTO ${pair.changes.name} VALUES (1)`,
        `DELETE FROM ${pair.changes.name}`,
        `CREATE TRIGGER t AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION public.${pair.changes.name}_note()`,
      ])
        await expect(
          asWriter.unsafe(`CREATE TEMP TABLE IF NOT EXISTS own (id int); ${attempt}`),
        ).rejects.toMatchObject({ code: '42501' });
      expect(
        await sql`
          SELECT pg_get_userbyid(proowner) AS owner, prosecdef AS definer FROM pg_proc
          WHERE proname = ${`${pair.changes.name}_note`}`,
      ).toEqual([{ owner: owner.name, definer: true }]);
    }),
  );

  it.each([
    ['renames the key', 'ALTER TABLE logs RENAME id TO number'],
    ['gives the key another type', 'ALTER TABLE logs ALTER id TYPE numeric'],
    ['renames the time', 'ALTER TABLE logs RENAME at TO moment'],
    ['drops the key', 'ALTER TABLE logs DROP id'],
  ])('that cannot be noted, since somebody %s, are noted as such, and the application goes on', (_, ddl) =>
    withDatabase(async ({ sql, connect }) => {
      await sql`CREATE TABLE logs (id bigint PRIMARY KEY, at timestamptz NOT NULL, who text)`;
      await sql`INSERT INTO logs VALUES (1, '2026-01-01', 'one'), (2, '2026-01-02', 'two')`;
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const application = connect({ max: 1 });
      await application`UPDATE logs SET who = 'three' WHERE who = 'two'`;
      expect(await notesOf(sql, pair)).toHaveLength(2);

      await sql.unsafe(ddl);
      await application`UPDATE logs SET who = 'none'`;

      expect((await notesOf(sql, pair)).slice(2)).toEqual(['(,)', '(,)']);
    })(),
  );

  it(
    'do not make the application fail when the place for them is gone, or columns come and go',
    withDatabase(async ({ sql, connect }) => {
      await makeLogs(sql, 2);
      const pair = await pairOf(sql);
      await capture(sql, pair);
      const application = connect({ max: 1 });

      await application`INSERT INTO logs (at, who) VALUES ('2026-02-01', 'x')`;
      await sql`ALTER TABLE logs ADD note text, DROP double, ALTER seen TYPE bigint`;
      await application`INSERT INTO logs (at, note) VALUES ('2026-02-01', 'y')`;
      expect(await notesOf(sql, pair)).toHaveLength(2);
      await sql.unsafe(`DROP TABLE ${pair.changes.name}`);
      await application`INSERT INTO logs (at, note) VALUES ('2026-02-01', 'z')`;

      expect(await sql`SELECT count(*)::int FROM logs`).toEqual([{ count: 5 }]);
    }),
  );

  it(
    'leave nothing behind when they are no longer noted, whatever the names hold',
    withDatabase(async ({ sql }) => {
      const table = '교육 자료 "$note$" 다운로드 기록 그리고 더 긴 이름';
      const quoted = `"${table.replaceAll('"', '""')}"`;
      await sql.unsafe(
        `CREATE TABLE ${quoted} ("$note$" int, "b""c" text, "at" timestamptz, PRIMARY KEY ("b""c", "$note$"))`,
      );
      const before = await describeCatalogue(sql);
      const pair = await pairOf(sql, table);
      await capture(sql, pair);
      await sql.unsafe(`INSERT INTO ${quoted} VALUES (1, 'x', '2026-01-01')`);
      expect(await notesOf(sql, pair)).toEqual([expect.stringMatching(/^\(x,1,/)]);
      expect(Buffer.byteLength(pair.changes.name)).toBeLessThanOrEqual(63);

      for (const { sql: text } of [...stopCapture(pair.from), ...dropCapture(pair.changes)])
        await sql.unsafe(text);

      expect(await describeCatalogue(sql)).toEqual(before);
    }),
  );

  it(
    'need a primary key',
    withDatabase(async ({ sql }) => {
      await sql`CREATE TABLE logs (id int UNIQUE, at timestamptz)`;

      await expect(pairOf(sql)).rejects.toMatchObject({
        code: 'table-unsuitable',
        message: 'public.logs has no primary key',
        hint: expect.stringContaining('convert by attach'),
      });
    }),
  );
});
