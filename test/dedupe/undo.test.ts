import { describe, expect, it } from 'vitest';
import { withDatabase } from '../helpers/database.ts';
import { contentsOf, merge, one, undo } from './duplicates.ts';

const library = `
  CREATE TABLE books (id int PRIMARY KEY, name text, isbn text UNIQUE, hits int NOT NULL DEFAULT 0 CHECK (hits >= 0), note text, changed_at date);
  CREATE TABLE loans (id int PRIMARY KEY, book int REFERENCES books ON DELETE CASCADE);
  INSERT INTO books VALUES (1, 'a', 'i1', 10, NULL, '2026-01-01'), (2, 'a', 'i2', 5, 'old', '2026-01-02'), (3, 'a', 'i3', 1, NULL, NULL);
  INSERT INTO loans VALUES (1, 1), (2, 2), (3, 3);`;
const request = { table: 'books', key: ['name'], sum: ['hits'], fill: ['note'] } as const;

describe('dedupe undo', () => {
  it(
    'leaves what came since: later loans stay where they are, counters go back by the difference',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      await merge(test, request);
      await sql.unsafe(`INSERT INTO loans VALUES (4, 1); UPDATE books SET hits = hits + 7`);

      const result = await undo(test);

      expect(result.problems).toEqual([]);
      expect(await contentsOf(sql, 'books', 'loans')).toEqual({
        books: ['(1,a,i1,17,,2026-01-01)', '(2,a,i2,5,old,2026-01-02)', '(3,a,i3,1,,)'],
        loans: ['(1,1)', '(2,2)', '(3,3)', '(4,1)'],
      });
      expect(await one(sql, 'SELECT count(*)::int FROM schema_versions_dedupe_log')).toBe(0);
    }),
  );

  it(
    'says what it cannot put back, and why, and puts back the rest',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      await merge(test, request);
      // 2 cannot come back, so that loan 2 cannot go to it; loan 3 is gone; the note was written anew; hits were set to 0.
      await sql.unsafe(
        `INSERT INTO books VALUES (9, 'other', 'i2'); DELETE FROM loans WHERE id = 3; UPDATE books SET note = 'new', hits = 0 WHERE id = 1`,
      );

      const result = await undo(test);

      expect(result.problems).toEqual(
        expect.arrayContaining([
          { table: 'public.books', problem: expect.stringContaining('books_isbn_key'), rows: 1, lost: true },
          { table: 'public.books', problem: 'were changed since', rows: 1, lost: true },
          { table: 'public.loans', problem: 'refer to a row that is not back', rows: 1, lost: true },
          { table: 'public.loans', problem: 'are gone since', rows: 1, lost: false },
        ]),
      );
      expect(await contentsOf(sql, 'books', 'loans')).toEqual({
        books: ['(1,a,i1,0,new,2026-01-01)', '(3,a,i3,1,,)', '(9,other,i2,0,,)'],
        loans: ['(1,1)', '(2,1)'],
      });
      const kept = await sql`SELECT op, problem FROM schema_versions_dedupe_log ORDER BY op, problem`;
      expect(kept.map(({ op, problem }) => `${op}: ${problem}`)).toEqual([
        'changed: changed since: hits, note',
        'moved: are gone since',
        'moved: refer to a row that is not back',
        'removed: duplicate key value violates unique constraint "books_isbn_key"',
      ]);
    }),
  );

  it(
    'moves nothing to a row that has taken the key of one that cannot come back',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      await merge(test, request);
      await sql`INSERT INTO books VALUES (2, 'other', 'i8')`;

      expect((await undo(test)).problems).toEqual(
        expect.arrayContaining([
          { table: 'public.loans', problem: 'refer to a row that is not back', rows: 1, lost: true },
        ]),
      );
      expect((await contentsOf(sql, 'loans')).loans).toEqual(['(1,1)', '(2,1)', '(3,3)']);
    }),
  );

  it(
    'leaves a loan that was given to another book since',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${library} INSERT INTO books VALUES (7, 'z', 'i7');`);
      await merge(test, request);
      await sql`UPDATE loans SET book = 7 WHERE id = 2`;

      expect((await undo(test)).problems).toEqual([
        { table: 'public.loans', problem: 'were changed since', rows: 1, lost: true },
      ]);
      expect((await contentsOf(sql, 'loans')).loans).toEqual(['(1,1)', '(2,7)', '(3,3)']);
    }),
  );

  it(
    'sets back the time of change that a trigger keeps, and no counter that a trigger keeps twice',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`${library}
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.changed_at := '2030-01-01'; RETURN new; END $$;
        CREATE TRIGGER touch BEFORE UPDATE OF note ON books FOR EACH ROW WHEN (old.note IS DISTINCT FROM new.note) EXECUTE FUNCTION touch();
        CREATE FUNCTION recount() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF tg_op <> 'INSERT' THEN UPDATE books SET hits = hits - 1 WHERE id = old.book; END IF;
          IF tg_op <> 'DELETE' THEN UPDATE books SET hits = hits + 1 WHERE id = new.book; END IF; RETURN NULL; END $$;
        CREATE TRIGGER recount AFTER INSERT OR UPDATE OR DELETE ON loans FOR EACH ROW EXECUTE FUNCTION recount();`);
      const before = await contentsOf(sql, 'books', 'loans');

      await merge(test, request);
      expect((await contentsOf(sql, 'books')).books).toEqual(['(1,a,i1,16,old,2030-01-01)']);

      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'books', 'loans')).toEqual(before);
    }),
  );

  it(
    'takes the last run, and an earlier one only when no later one stands on the same table',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      const before = await contentsOf(sql, 'books', 'loans');
      await merge(test, request);
      await sql`INSERT INTO books VALUES (4, 'a', 'i4', 3)`;
      await merge(test, request);

      await expect(undo(test, 1)).rejects.toMatchObject({
        code: 'usage',
        hint: expect.stringContaining('undo 2'),
      });
      expect(await undo(test)).toMatchObject({ run: 2 });
      await sql`DELETE FROM books WHERE id = 4`;
      expect(await undo(test)).toMatchObject({ run: 1 });
      expect(await contentsOf(sql, 'books', 'loans')).toEqual(before);
      await expect(undo(test)).rejects.toMatchObject({ code: 'run-missing' });
      await expect(undo(test, 1)).rejects.toMatchObject({
        message: expect.stringContaining('undone already'),
      });
      await expect(undo(test, 8)).rejects.toMatchObject({ message: 'there is no run 8' });
    }),
  );

  it(
    'puts back what a table still has a place for, when columns and tables are gone since',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      await merge(test, request);
      await sql.unsafe(
        'ALTER TABLE books DROP COLUMN changed_at; ALTER TABLE books ADD COLUMN more int DEFAULT 8; DROP TABLE loans',
      );

      const { problems } = await undo(test);

      expect(problems).toEqual([
        {
          table: 'public.books',
          problem: 'are back without what they had in changed_at, which is gone',
          rows: 1,
          lost: true,
        },
        { table: 'public.loans', problem: 'are of a table that is gone', rows: 2, lost: true },
      ]);
      expect((await contentsOf(sql, 'books')).books).toEqual([
        '(1,a,i1,10,,8)',
        '(2,a,i2,5,old,8)',
        '(3,a,i3,1,,8)',
      ]);
    }),
  );

  it(
    'keeps in the log what a row had in a column that is gone, and says so',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      await merge(test, request);
      await sql`ALTER TABLE books RENAME note TO remark`;

      expect((await undo(test)).problems).toEqual(
        expect.arrayContaining([
          {
            table: 'public.books',
            problem: 'are back without what they had in note, which is gone',
            rows: 1,
            lost: true,
          },
        ]),
      );
      expect(
        await one(sql, `SELECT old_values ->> 'note' FROM schema_versions_dedupe_log WHERE op = 'removed'`),
      ).toBe('old');
      expect((await contentsOf(sql, 'loans')).loans).toEqual(['(1,1)', '(2,2)', '(3,3)']);
    }),
  );

  it(
    'does nothing while the key of the table has another name, and all when it has its own again',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      const before = await contentsOf(sql, 'books', 'loans');
      await merge(test, request);
      await sql`ALTER TABLE books RENAME id TO number`;

      await expect(undo(test)).rejects.toMatchObject({
        code: 'table-unsuitable',
        message: expect.stringContaining('no column id any more'),
      });
      await sql`ALTER TABLE books RENAME number TO id`;
      expect((await undo(test)).problems).toEqual([]);
      expect(await contentsOf(sql, 'books', 'loans')).toEqual(before);
    }),
  );

  it(
    'keeps a row in the log that a trigger leaves out in silence',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(library);
      await merge(test, request);
      await sql.unsafe(`CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER leave_out BEFORE INSERT ON books FOR EACH ROW WHEN (new.id = 2) EXECUTE FUNCTION leave_out();`);

      expect((await undo(test)).problems).toEqual(
        expect.arrayContaining([
          {
            table: 'public.books',
            problem: 'could not be put back: a trigger or a rule of the table leaves it out',
            rows: 1,
            lost: true,
          },
        ]),
      );
      expect(
        await one(sql, `SELECT count(*)::int FROM schema_versions_dedupe_log WHERE op = 'removed'`),
      ).toBe(1);
    }),
  );

  it(
    'puts back a row that refers to another one, also when a third cannot come back',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`CREATE TABLE folders (id int PRIMARY KEY, name text, above int REFERENCES folders);
        INSERT INTO folders VALUES (1, 'a', NULL), (2, 'b', NULL), (3, 'c', NULL), (7, 'b', NULL), (4, 'a', 7), (6, 'c', NULL);`);
      await merge(test, { table: 'folders', key: ['name'] });
      await sql`INSERT INTO folders VALUES (6, 'new', NULL)`;

      expect((await undo(test)).problems).toMatchObject([{ table: 'public.folders', rows: 1 }]);

      expect((await contentsOf(sql, 'folders')).folders).toEqual([
        '(1,a,)',
        '(2,b,)',
        '(3,c,)',
        '(4,a,7)',
        '(6,new,)',
        '(7,b,)',
      ]);
    }),
  );

  it(
    'brings back every kind of value as it was',
    withDatabase(async (test) => {
      const { sql } = test;
      await sql.unsafe(`
        CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN short AS varchar(3);
        CREATE TABLE all_kinds (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, j json, jb jsonb, jn jsonb, ints int[] , texts text[], m mood, p pair, d short,
          f float8, r real, n numeric(20,5), b bytea, t timestamptz, i interval, ip inet, g int GENERATED ALWAYS AS (id * 2) STORED, c char(5), x bit(3), range int4range, mo money, tsv tsvector, u uuid);
        INSERT INTO all_kinds (name) VALUES ('a');
        INSERT INTO all_kinds (name, j, jb, jn, ints, texts, m, p, d, f, r, n, b, t, i, ip, c, x, range, mo, tsv, u) VALUES ('a', '{"b":1,  "b":2}', '"text"', 'null',
          '[0:2]={1,NULL,3}', ARRAY['a,b', NULL, '"', ''], 'bad', ROW(1, 'x"'), 'abc', 'NaN', 1e-10, 123456789012345.12345, '\\xdeadbeef', 'infinity',
          '1 mon -3 days 04:05:06.789', '::1/64', 'ab', B'101', '[1,5)', 12.34, 'a:1 b:2A', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');`);
      const before = await contentsOf(sql, 'all_kinds');

      await merge(test, { table: 'all_kinds', key: ['name'] });
      expect(await one(sql, 'SELECT count(*)::int FROM all_kinds')).toBe(1);
      await undo(test);

      expect(await contentsOf(sql, 'all_kinds')).toEqual(before);
      expect(await one(sql, `SELECT j::text || (jn = 'null')::text FROM all_kinds WHERE id = 2`)).toBe(
        '{"b":1,  "b":2}true',
      );
    }),
  );
});
