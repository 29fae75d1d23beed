import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withDatabase as openDatabase } from '../../src/db/connect.ts';
import { dedupe } from '../../src/dedupe/dedupe.ts';
import { openClient } from '../helpers/clients.ts';
import { type TestDatabase, withDatabase } from '../helpers/database.ts';
import { startWriter } from '../helpers/writer.ts';
import { contentsOf, journal, merge, one, plan, undo } from './duplicates.ts';

/** `groups` clusters of four books each, with as many loans. */
const library = (groups: number) => `
  CREATE TABLE books (id int PRIMARY KEY, name text, hits int NOT NULL DEFAULT 1);
  CREATE TABLE loans (id int PRIMARY KEY, book int NOT NULL REFERENCES books ON DELETE CASCADE);
  CREATE INDEX ON loans (book);
  INSERT INTO books SELECT n, 'book ' || n % ${groups} FROM generate_series(1, ${groups * 4}) n;
  INSERT INTO loans SELECT n, n FROM generate_series(1, ${groups * 4}) n;`;
const request = { table: 'books', key: ['name'], sum: ['hits'] };

const left = ({ sql }: TestDatabase) =>
  one(
    sql,
    `SELECT jsonb_build_object('books', (SELECT count(*) FROM books), 'hits', (SELECT sum(hits) FROM books), 'loans', (SELECT count(*) FROM loans),
    'orphans', (SELECT count(*) FROM loans WHERE book NOT IN (SELECT id FROM books)))`,
  );

describe('dedupe, when something is in the way', () => {
  it(
    'says that there is no such table, column or key, and changes nothing',
    withDatabase(async (test) => {
      await test.sql.unsafe(`${library(2)} CREATE TABLE bare (name text); CREATE VIEW seen AS SELECT * FROM books; CREATE TABLE js (id int PRIMARY KEY, data json);
        CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT; CREATE TABLE heirs () INHERITS (books);`);
      const refused = (wanted: Parameters<typeof plan>[1], code: string, message: string) =>
        expect(plan(test, wanted)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });

      await refused({ table: 'nothing' }, 'table-missing', 'public.nothing');
      await refused({ table: 'seen' }, 'table-unsuitable', 'is no table');
      await refused({ table: 'bare', key: ['name'] }, 'table-unsuitable', 'has no primary key');
      await test.sql`CREATE TABLE twice (n int NOT NULL, name text)`;
      await test.sql`INSERT INTO twice VALUES (1, 'a'), (1, 'b'), (0, 'a')`;
      await test.sql`CREATE UNIQUE INDEX CONCURRENTLY ON twice (n)`.catch(() => {});
      await refused({ table: 'twice', key: ['name'] }, 'table-unsuitable', 'has no primary key');
      await refused({ table: 'parts_1', key: ['id'] }, 'table-unsuitable', 'is a partition');
      await refused({ table: 'books', key: ['name'] }, 'table-unsuitable', 'inherit');
      await test.sql`DROP TABLE heirs`;
      await test.sql`CREATE TABLE old_loans () INHERITS (loans)`;
      await refused(
        { table: 'books', key: ['name'] },
        'table-unsuitable',
        'public.loans has tables that inherit',
      );
      await test.sql`DROP TABLE old_loans`;
      await refused({ table: 'books' }, 'usage', 'nobody said');
      await refused({ ...request, key: ['titel'] }, 'usage', 'has no column titel');
      await refused({ ...request, sum: ['name'] }, 'usage', 'is no number');
      await refused({ ...request, sum: ['other.hits'] }, 'usage', 'does not refer');
      await refused({ ...request, fill: ['id'] }, 'usage', 'cannot be filled');
      await refused({ ...request, match: 'fuzzy' }, 'usage', '"fuzzy"');
      await refused({ ...request, keep: 'nothing_here' }, 'usage', 'nothing_here');
      await refused({ ...request, keep: 'id; DROP TABLE loans' }, 'usage', 'no expression');
      await refused({ table: 'js', key: ['data'] }, 'usage', 'cannot be compared');
      await refused({ ...request, references: ['loans.bok'] }, 'usage', 'public.loans.bok');
      expect(await left(test)).toEqual({ books: 8, hits: 8, loans: 8, orphans: 0 });
    }),
  );

  it(
    'stops before anything is done when the role may not change a child, or does not see all of it',
    withDatabase(async (test) => {
      const { sql, createUser } = test;
      await sql.unsafe(library(2));
      const user = await createUser();
      await sql.unsafe(
        `GRANT CREATE ON SCHEMA public TO ${user.name}; GRANT ALL ON books TO ${user.name}; GRANT SELECT ON loans TO ${user.name}`,
      );
      const asUser = { target: user.target };

      await expect(merge(asUser, request)).rejects.toMatchObject({
        code: 'permission-denied',
        message: `${user.name} may not UPDATE on public.loans`,
      });
      await sql.unsafe(
        `GRANT ALL ON loans TO ${user.name}; ALTER TABLE loans ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON loans USING (id < 3)`,
      );
      await expect(merge(asUser, request)).rejects.toMatchObject({
        code: 'permission-denied',
        message: `policies hide rows of public.loans from ${user.name}`,
      });
      expect(await left(test)).toEqual({ books: 8, hits: 8, loans: 8, orphans: 0 });

      await sql.unsafe(`CREATE POLICY everything ON loans USING (true)`);
      await merge(asUser, request);
      expect(await left(test)).toEqual({ books: 2, hits: 8, loans: 8, orphans: 0 });
    }),
  );

  it(
    'names who holds a child table, and goes on when it is free',
    withDatabase(async (test) => {
      await test.sql.unsafe(library(3));
      const client = await openClient(test, 'backup');
      await client.begin('LOCK TABLE loans IN SHARE MODE');

      const error = await merge(test, request, { lockTimeout: '2s', lockDeadlineSeconds: 4 }).catch((e) => e);
      expect(error).toMatchObject({ code: 'database-error', excerpt: expect.stringContaining('backup') });
      expect(await left(test)).toEqual({ books: 12, hits: 12, loans: 12, orphans: 0 });
      await client.sql.unsafe('ROLLBACK');

      expect(await merge(test, request)).toMatchObject({ run: 1 });
      expect(await left(test)).toEqual({ books: 3, hits: 12, loans: 12, orphans: 0 });
    }),
  );

  it(
    'stops at a trigger that raises, with its words; what was merged before stays, and a rerun goes on with the same run',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${library(30)}
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF (SELECT count(*) FROM books) < 100 THEN RAISE 'not this loan'; END IF; RETURN new; END $$;
        CREATE TRIGGER no BEFORE UPDATE ON loans FOR EACH ROW EXECUTE FUNCTION no();`);
      const before = await contentsOf(sql, 'books', 'loans');

      await expect(merge(test, request, { batchRows: 9 })).rejects.toMatchObject({
        code: 'database-error',
        excerpt: expect.stringContaining('not this loan'),
      });
      const half = (await left(test)) as { books: number };
      expect(half).toMatchObject({ hits: 120, loans: 120, orphans: 0 });
      expect(half.books).toBeGreaterThan(30);
      expect(half.books).toBeLessThan(120);
      await sql`DROP TRIGGER no ON loans`;

      expect(await merge(test, request)).toMatchObject({ run: 1 });
      expect(await left(test)).toEqual({ books: 30, hits: 120, loans: 120, orphans: 0 });
      await undo(test);
      expect(await contentsOf(sql, 'books', 'loans')).toEqual(before);
    }),
  );

  it(
    'loses nothing to triggers that keep rows from being moved or removed in silence',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${library(2)}
        CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER skip BEFORE UPDATE ON loans FOR EACH ROW WHEN (old.id = 5) EXECUTE FUNCTION skip();`);

      await expect(merge(test, request)).rejects.toMatchObject({
        code: 'proof-failed',
        message: expect.stringContaining('rows of public.loans.book still refer'),
      });
      await sql.unsafe(
        `DROP TRIGGER skip ON loans; CREATE TRIGGER skip BEFORE DELETE ON books FOR EACH ROW EXECUTE FUNCTION skip();`,
      );
      await expect(merge(test, request)).rejects.toMatchObject({
        code: 'proof-failed',
        message: expect.stringContaining('only 0 could be removed'),
      });

      expect(await left(test)).toEqual({ books: 8, hits: 8, loans: 8, orphans: 0 });
    }),
  );

  it(
    'merges a cluster of 100,000 rows in one batch',
    withDatabase(async (test) => {
      await test.sql.unsafe(library(1).replaceAll('generate_series(1, 4)', 'generate_series(1, 100000)'));

      const { tally } = await merge(test, request);

      expect(tally.removed).toBe(99_999);
      expect(await left(test)).toEqual({ books: 1, hits: 100_000, loans: 100_000, orphans: 0 });
    }),
    120_000,
  );

  it(
    'keeps another dedupe of the table out while one is at work',
    withDatabase(async (test) => {
      await test.sql.unsafe(library(2));
      let second: unknown;
      await openDatabase(test.target, {}, (database) =>
        dedupe(
          database,
          { ...request, table: { schema: 'public', name: 'books' } },
          { journal },
          async () => {
            second = await merge(test, request, { waitSeconds: 0 }).catch((error) => error);
          },
        ),
      );

      expect(second).toMatchObject({ code: 'lock-held' });
      expect(await left(test)).toEqual({ books: 2, hits: 8, loans: 8, orphans: 0 });
    }),
  );

  it(
    'of two at once does the work once, and the other finds nothing left',
    withDatabase(async (test) => {
      await test.sql.unsafe(library(50));

      const results = await Promise.all([merge(test, request), merge(test, request), merge(test, request)]);

      expect(results.map(({ tally }) => tally.removed).sort((a, b) => a - b)).toEqual([0, 0, 150]);
      expect(await left(test)).toEqual({ books: 50, hits: 200, loans: 200, orphans: 0 });
    }),
  );

  it(
    'leaves rows that change while it is at work, and lets writers go on',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${library(200)} CREATE SEQUENCE loan START 1000`);
      const writer = startWriter(
        test,
        "UPDATE loans SET id = id WHERE id = 1 + (random() * 700)::int; INSERT INTO loans VALUES (nextval('loan'), 1)",
      );
      await openDatabase(test.target, {}, (database) =>
        dedupe(
          database,
          { ...request, table: { schema: 'public', name: 'books' } },
          { journal, batchRows: 50 },
          async () => {
            await sql`UPDATE books SET name = 'another' WHERE id = 601`;
            await sql`DELETE FROM loans WHERE id = 602`;
          },
        ),
      ).then((result) => expect(result).toMatchObject({ left: 1, tally: { removed: 599 } }));
      const { errors, written } = await writer.stop();

      expect(errors).toEqual([]);
      expect(await left(test)).toEqual({ books: 201, hits: 800, loans: 799 + written, orphans: 0 });
      await sleep(1);
    }),
  );

  it(
    'moves what is about to be written under a foreign key that is not enforced',
    withDatabase(async (test) => {
      const { sql } = test;
      if ((await one<number>(sql, `current_setting('server_version_num')::int`)) < 180000) return;
      await sql.unsafe(
        `${library(1)} DROP TABLE loans; CREATE TABLE loans (id int PRIMARY KEY, book int REFERENCES books NOT ENFORCED)`,
      );
      const client = await openClient(test, 'application');
      await client.begin('INSERT INTO loans VALUES (1, 4)');

      const merging = merge(test, request);
      await sleep(1500);
      await client.sql.unsafe('COMMIT');
      await merging;

      expect((await contentsOf(sql, 'loans')).loans).toEqual(['(1,1)']);
    }),
  );

  it(
    'keeps its log from those who may read all other tables: it has rows that policies hide',
    withDatabase(async (test) => {
      const { sql, createUser, connectAs } = test;
      const reader = await createUser();
      await sql.unsafe(
        `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${reader.name}, PUBLIC; ${library(2)}`,
      );

      await merge(test, request);

      const asReader = await connectAs(reader.name);
      expect(await asReader`SELECT count(*)::int AS n FROM books`).toEqual([{ n: 2 }]);
      for (const table of ['schema_versions_dedupe', 'schema_versions_dedupe_log'])
        await expect(asReader`SELECT FROM ${asReader(table)}`).rejects.toThrow('permission denied');
      await undo(test);
    }),
  );

  it(
    'goes back to the same plan of migrations: its own tables are not part of the schema',
    withDatabase(async (test) => {
      const { fingerprintOf } = await import('../../src/migrations/plan-document.ts');
      await test.sql.unsafe(library(2));
      const take = () =>
        openDatabase(test.target, {}, ({ sql }) => fingerprintOf(sql, { journal, schema: undefined }));
      const before = await take();

      await merge(test, request);

      expect(await one(test.sql, 'SELECT count(*)::int FROM schema_versions_dedupe')).toBe(1);
      expect((await take()).sha256).toBe(before.sha256);
    }),
  );
});
